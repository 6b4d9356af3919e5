//! Ids as callers pass them: by value, by reference, in parts; on every kind of store.

use cached_repo::{Cache, CachedEntity, Repository, Strategy, store};
use tests::servers;

#[derive(Clone, Debug, PartialEq, CachedEntity)]
#[cache(prefix = "lines", table = "order_lines")]
struct Line {
    #[cache(id)]
    order: u32,
    #[cache(id)]
    article: String,
    amount: i16,
}

fn line(order: u32, article: &str) -> Line {
    Line { order, article: article.to_owned(), amount: -3 }
}

#[tokio::test]
async fn composite_ids_are_taken_as_they_come() {
    let postgres = store::connect(&servers::postgres_url()).await.unwrap();
    let mysql = store::connect(&servers::mysql_url()).await.unwrap();
    let sqlite = store::connect("sqlite::memory:").await.unwrap();
    for db in [store::memory(), sqlite, postgres, mysql] {
        db.create_tables::<Line>().await.unwrap();
        for strategy in [Strategy::CacheAside, Strategy::WriteThrough] {
            let cache = Cache::in_memory();
            let builder = Repository::<Line>::builder(&cache).store(&db).strategy(strategy);
            let lines = builder.build().await.unwrap();
            // The separator of the parts, in a part.
            let all = [line(1, "2,3"), line(12, "3"), line(1, "x"), line(2, "")];
            lines.save_many(&all).await.unwrap();
            assert_eq!(lines.key((1, "2,3")).unwrap(), "lines:1,2%2C3");
            let ids: Vec<(u32, String)> = all.iter().map(CachedEntity::id).collect();
            for _ in 0..2 {
                let found = lines.get_many(&ids).await.unwrap();
                assert_eq!(found, all.iter().cloned().map(Some).collect::<Vec<_>>());
            }
            assert_eq!(lines.get(&ids[0]).await.unwrap(), Some(all[0].clone()));
            assert_eq!(lines.get((&12, "3")).await.unwrap(), Some(all[1].clone()));
            assert_eq!(lines.get(ids[3].clone()).await.unwrap(), Some(all[3].clone()));
            lines.delete((1, "x")).await.unwrap();
            assert!(!lines.exists((1, "x")).await.unwrap());
            assert!(lines.exists((1, "2,3")).await.unwrap());
        }
    }
}
