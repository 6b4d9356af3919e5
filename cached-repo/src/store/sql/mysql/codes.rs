//! What the error numbers of MySQL and MariaDB mean; they share all but a few.

use crate::store::Class;

/// The class of an error.
pub(super) fn class(code: &str) -> Class {
    let Ok(number) = code.parse::<u16>() else { return Class::Systemic };
    match number {
        _ if is_lost(code) => Class::Transient,
        // A deadlock; a lock that was waited for too long; a table's lock.
        1213 | 1205 | 1206 | 1099 => Class::Transient,
        // A statement that took too long: MySQL's, MariaDB's. One that was killed.
        3024 | 1969 | 1317 => Class::Transient,
        // Too many connections: of all users, of this user, of this server's memory.
        1040 | 1203 | 1226 | 1041 | 1037 | 1135 => Class::Transient,
        // Credentials may be about to be changed, as at PostgreSQL.
        1045 | 1698 => Class::Transient,
        // Read-only: a primary that has become a replica.
        1290 | 1836 | 1792 => Class::Transient,
        // The disk, or the space of the tables, is full.
        1021 | 1114 => Class::Transient,
        // Of the system: files, memory.
        1..=99 => Class::Transient,
        // The table was altered since the statement was prepared, or another node was first.
        1020 | 1412 | 1615 | 1047 | 1180 | 3100 | 3101 => Class::Transient,
        // A row that is referred to is not there; a row is referred to.
        1216 | 1217 | 1451 | 1452 => Class::Reference,
        // A value that another row has: 1690 is our own way to say so.
        1022 | 1062 | 1169 | 1557 | 1586 | 1761 | 1762 | 1690 => Class::Record,
        // Null. A column that got nothing (1364) is one that no record has: that is the table's fault.
        1048 | 1263 => Class::Record,
        // Out of range, cut off, too long, of a wrong form, no text of the character set.
        1264 | 1265 | 1406 | 1366 | 1292 | 1300 | 1411 | 1367 | 3140..=3158 => Class::Record,
        // A division by zero, in a trigger or a generated column.
        1365 => Class::Record,
        // A CHECK: MariaDB's, MySQL's; a view's CHECK OPTION; a partition for no such value.
        4025 | 3819 | 1369 | 1526 | 1748 => Class::Record,
        // A row that is too long for its table; a packet that is too long for the server.
        1118 | 1030 | 1139 | 1153 => Class::Record,
        // SIGNAL in a trigger, and what a trigger may do wrong with a value.
        1242 | 1644 | 1172 | 1329 | 1416 => Class::Record,
        // Tables, columns, rights, syntax: 1044, 1049, 1054, 1142, 1143, 1146, 1064 and so on.
        _ => Class::Systemic,
    }
}

/// Whether the connection is gone, or is about to be.
pub(super) fn is_lost(code: &str) -> bool {
    let lost = [
        "1053", // The server shuts down.
        "1079", // The same.
        "1080", // The connection is forced to an end.
        "1152", "1184", // Aborted.
        "1158", "1159", "1160", "1161", // Nobody reads or writes.
        "1927", // Killed, in MariaDB's words.
        "2006", "2013", // The client's own.
        "3169", // Killed, in MySQL's.
        "4031", // It idled for too long.
    ];
    lost.contains(&code)
}

/// A statement has to be prepared again, because its table was changed.
pub(super) const PREPARED_AGAIN: &str = "1615";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_test_can_provoke_has_its_class() {
        for (code, expected) in [
            ("2006", Class::Transient),
            ("3024", Class::Transient),
            ("1040", Class::Transient),
            ("1836", Class::Transient),
            ("1021", Class::Transient),
            ("28", Class::Transient),
            ("3819", Class::Record),
            ("1153", Class::Record),
            ("1049", Class::Systemic),
            ("", Class::Systemic),
        ] {
            assert_eq!(class(code), expected, "{code}");
        }
        assert!(is_lost("4031") && !is_lost("1205"));
    }
}
