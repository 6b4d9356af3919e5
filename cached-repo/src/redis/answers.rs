//! What the server-side steps answer, read as what it means.
//!
//! `None`: it is nothing that the step's header lists, or not for as many writes as were asked for. An
//! answer that is one too short would otherwise be taken for that of another entity.

use std::time::Duration;

use crate::{
    backend::{
        Begin, Lease, PutReply, Side,
        journal::{Acknowledged, Appended, Repaired, Retired},
        snapshot::{Changed, Standing, Survey, Turned},
    },
    codec::Raw,
};

/// `lease.lua`, asked for so many entries.
pub(super) fn leases(answer: &[String], count: usize) -> Option<Vec<Lease>> {
    let (generation, leases) = answer.split_first()?;
    let generation = generation.parse().ok()?;
    let lease = |answer: &String| match answer.as_str() {
        "granted" => Some(Lease::Granted { generation }),
        "held" => Some(Lease::Held),
        "blocked" => Some(Lease::Blocked),
        "present" => Some(Lease::Present),
        _ => None,
    };
    one_each(leases.iter().map(lease).collect::<Option<_>>()?, count)
}

/// `begin.lua`.
pub(super) fn begin(answer: &[String]) -> Option<Begin> {
    let number = |i: usize| answer.get(i)?.parse().ok();
    Some(match answer.first()?.as_str() {
        "begun" => Begin::Begun { epoch: number(1)?, generation: number(2)? },
        "fenced" => Begin::Fenced,
        "dirty" => Begin::Dirty(number(1)? as usize),
        "kept" => Begin::Kept(number(1)? as usize),
        _ => return None,
    })
}

/// `put.lua` and `keep.lua`, asked for so many writes.
pub(super) fn put(answer: &[String], count: usize) -> Option<PutReply> {
    let (first, rest) = answer.split_first()?;
    match (first.as_str(), rest) {
        ("written", [server, versions @ ..]) => {
            let versions = numbers(versions, count)?;
            Some(PutReply::Written { versions, server: server.clone() })
        }
        ("dirty", [index]) => Some(PutReply::Dirty(index.parse().ok()?)),
        ("elsewhere", [side]) => Some(PutReply::Elsewhere(Side::parse(side)?)),
        _ => None,
    }
}

/// `append.lua`, asked for so many writes.
pub(super) fn appended(answer: &[String], count: usize) -> Option<Appended> {
    let number = |i: usize| answer.get(i)?.parse::<u64>().ok();
    Some(match answer.first()?.as_str() {
        "written" => Appended::Written {
            epoch: number(1)?,
            journal: answer.get(2)?.clone(),
            versions: numbers(&answer[3..], count)?,
        },
        "fenced" => Appended::Fenced,
        "intended" => Appended::Intended { wait: Duration::from_millis(number(1)?) },
        "kept" => Appended::Kept(number(1)? as usize),
        "full" => Appended::Full,
        "overtaken" => Appended::Overtaken,
        _ => return None,
    })
}

/// `acknowledge.lua`.
pub(super) fn acknowledged(answer: &str) -> Option<Acknowledged> {
    match answer {
        "elsewhere" => Some(Acknowledged::Elsewhere),
        left => Some(Acknowledged::Done { left: left.parse().ok()? }),
    }
}

/// `repair.lua`.
pub(super) fn repaired(answer: &[String]) -> Option<Repaired> {
    match answer {
        [first] if first == "overtaken" => Some(Repaired::Overtaken),
        [first, left] if first == "kept" => Some(Repaired::Kept { left: left.parse().ok()? }),
        [first, discarded] if first == "replaced" => {
            Some(Repaired::Replaced { discarded: discarded.parse().ok()? })
        }
        _ => None,
    }
}

/// `turn.lua`.
pub(super) fn turned(answer: &[String]) -> Option<Turned> {
    let [what, side, turned_by] = answer else { return None };
    let standing = Standing { side: Side::parse(side)?, turned_by: turned_by.clone() };
    match what.as_str() {
        "turned" => Some(Turned::From(standing)),
        "is" => Some(Turned::Is(standing)),
        _ => None,
    }
}

/// `changed.lua`.
pub(super) fn changed(answer: &[String]) -> Option<Changed> {
    let [side, turned_by, until, left, more, rest @ ..] = answer else { return None };
    let ids = rest.chunks(2).map(|pair| match pair {
        [id, version] => Some((id.clone(), version.parse().ok()?)),
        _ => None,
    });
    Some(Changed {
        standing: Standing { side: Side::parse(side)?, turned_by: turned_by.clone() },
        until: until.parse().ok()?,
        left: left.parse().ok()?,
        more: more == "1",
        ids: ids.collect::<Option<_>>()?,
    })
}

/// `survey.lua`.
pub(super) fn survey(answer: &str) -> Option<Survey> {
    match answer {
        DONE => Some(Survey::Done),
        cursor => Some(Survey::At(cursor.parse().ok()?)),
    }
}

/// `retire.lua`.
pub(super) fn retired(answer: &str) -> Option<Retired> {
    match answer {
        "more" => Some(Retired::More),
        "done" => Some(Retired::Done),
        "refused" => Some(Retired::Refused),
        _ => None,
    }
}

/// `seal.lua` and `sweep.lua`, where they answer a version.
pub(super) fn version(answer: &str) -> Option<u64> {
    answer.parse().ok()
}

/// The answer of `MGET`: so many texts, and a generation for each partition.
pub(super) fn texts(
    mut answer: Vec<Option<Vec<u8>>>,
    count: usize,
    partitions: usize,
) -> Option<(Vec<Option<Raw>>, Vec<u64>)> {
    if answer.len() != count + partitions {
        return None;
    }
    let generations = answer.split_off(count).into_iter().map(generation).collect();
    Some((answer.into_iter().map(|text| text.map(Raw::Text)).collect(), generations))
}

/// A partition without one is in generation 0.
pub(super) fn generation(text: Option<Vec<u8>>) -> u64 {
    text.and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok()).unwrap_or(0)
}

/// One answer for each that was asked for.
pub(super) fn one_each<T>(answers: Vec<T>, count: usize) -> Option<Vec<T>> {
    (answers.len() == count).then_some(answers)
}

fn numbers(texts: &[String], count: usize) -> Option<Vec<u64>> {
    one_each(texts.iter().map(|n| n.parse().ok()).collect::<Option<_>>()?, count)
}

/// How the survey says that it is complete.
pub(super) const DONE: &str = "done";

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// Else the answers of the next partition would be taken for those of this one's entities.
    #[test]
    fn an_answer_for_another_number_of_writes_is_none() {
        assert_eq!(leases(&words("7 granted held"), 2).map(|all| all.len()), Some(2));
        assert!(put(&words("written s 1 2"), 2).is_some());
        assert!(appended(&words("written 1 j 5 6"), 2).is_some());
        assert!(texts(vec![None, None, Some(b"7".to_vec())], 2, 1).is_some());
        for count in [0, 1, 3] {
            assert_eq!(leases(&words("7 granted held"), count), None);
            assert_eq!(put(&words("written s 1 2"), count), None);
            assert_eq!(appended(&words("written 1 j 5 6"), count), None);
            assert_eq!(texts(vec![None, None, Some(b"7".to_vec())], count, 1), None);
            assert_eq!(one_each(vec![true, false], count), None);
        }
    }
}
