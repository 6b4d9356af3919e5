use cached_repo::CachedEntity;

#[derive(CachedEntity)]
#[cache(prefix = "a")]
struct Todo {
    #[cache(id)]
    id: String,
    #[cache(rename = "")]
    empty: String,
    #[cache(alias = "_cr")]
    reserved: String,
    _crate: String,
    #[cache(column = "")]
    empty_column: String,
    #[cache(column = "a\0b")]
    nul_column: String,
    #[cache(column = "a_column_whose_name_is_sixty_four_characters_long_is_cut_off_by_")]
    long_column: String,
    a_field_whose_name_is_sixty_four_characters_long_is_cut_off_by__: String,
}

fn main() {}
