//! The library's own statements, in the words of MySQL and MariaDB.

/// Turns a statement of PostgreSQL into one of MySQL: reserved names, types, upserts. What it returns
/// is left out.
pub(super) fn spell(sql: &str) -> String {
    let sql = sql.split(" RETURNING ").next().unwrap_or(sql);
    let sql = PHRASES.iter().fold(sql.to_owned(), |sql, (from, to)| sql.replace(from, to));
    let mut spelled = String::with_capacity(sql.len() + 64);
    let mut rest = sql.as_str();
    while !rest.is_empty() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (word, behind) = rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()));
        let of_new_row = behind.strip_prefix('.').filter(|_| word == "excluded");
        if let Some(column) = of_new_row {
            let end = column.find(|c| !is_part(c)).unwrap_or(column.len());
            let (column, behind) = column.split_at(end);
            spelled.extend(["VALUES(", column, ")"]);
            rest = behind;
            continue;
        }
        match RESERVED.contains(&word) {
            true => spelled.extend(["`", word, "`"]),
            false => spelled.push_str(word),
        }
        let end = behind.find(is_part).unwrap_or(behind.len());
        let (between, behind) = behind.split_at(end);
        spelled.push_str(between);
        rest = behind;
    }
    spelled
}

/// Names of columns that are words of the language here.
const RESERVED: [&str; 2] = ["key", "partition"];
const PHRASES: [(&str, &str); 5] = [
    ("CAST(e.value->>1 AS BIGINT)", "e.number"),
    ("e.value->>0", "e.name"),
    (" AS BIGINT)", " AS SIGNED)"),
    // Whatever time zone the session is in.
    ("CURRENT_TIMESTAMP", "UTC_TIMESTAMP(6)"),
    ("ON CONFLICT (entity, partition, version) DO UPDATE SET", "ON DUPLICATE KEY UPDATE"),
];

/// A table that is updated cannot be read in a part of the statement. Ids are compared byte by byte:
/// the collation of the column would pad them.
pub(super) const SUPERSEDE: &str = "UPDATE cached_repo_dead_letters AS l JOIN ELEMENTS \
    ON CAST(l.id AS BINARY) = CAST(e.name AS BINARY) AND l.version < e.number \
    SET l.state = 'superseded' WHERE l.state = 'waiting' AND l.entity = ?";

/// Beside the columns and the unique indexes: an engine that cannot roll back, and sessions that
/// would go on reading what they read first.
pub(super) const INSPECT: &str = "SELECT NULL, column_name, \
    CASE WHEN generation_expression <> '' THEN 'computed' \
    WHEN data_type = 'timestamp' AND @@time_zone NOT IN ('+00:00', 'UTC') \
    THEN CONCAT('timestamp in the time zone ', @@time_zone) \
    WHEN data_type IN ('decimal', 'timestamp', 'datetime', 'time', 'char', 'varchar', 'binary', \
    'float', 'double') \
    THEN column_type ELSE data_type END \
    FROM information_schema.columns \
    WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? \
    UNION ALL \
    SELECT CAST(CRC32(s.index_name) AS SIGNED), s.column_name, \
    CASE WHEN s.sub_part IS NOT NULL THEN CONCAT('it looks at ', s.sub_part, ' characters') \
    WHEN c.collation_name LIKE '%nopad_bin' OR c.collation_name = 'utf8mb4_0900_bin' THEN NULL \
    ELSE c.collation_name END \
    FROM information_schema.statistics AS s \
    LEFT JOIN information_schema.columns AS c ON c.table_schema = s.table_schema \
    AND c.table_name = s.table_name AND c.column_name = s.column_name \
    WHERE s.table_schema = COALESCE(?, DATABASE()) AND s.table_name = ? AND s.non_unique = 0 \
    UNION ALL \
    SELECT NULL, NULL, CASE WHEN @@autocommit = 0 \
    THEN 'is read by sessions without autocommit, which would not see later writes: switch it on' \
    ELSE CONCAT('is kept by ', t.engine, ', which has no transactions: ALTER TABLE ', \
    t.table_name, ' ENGINE = InnoDB') END \
    FROM information_schema.tables AS t \
    JOIN information_schema.engines AS e ON e.engine = t.engine \
    WHERE t.table_schema = COALESCE(?, DATABASE()) AND t.table_name = ? \
    AND (e.transactions <> 'YES' OR @@autocommit = 0) \
    UNION ALL \
    SELECT NULL, NULL, CONCAT('has a column `', column_name, '` that is NOT NULL without a default, \
    and no field is mapped to it, so that each write would fail: give it a default, or add the field') \
    FROM information_schema.columns WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? \
    AND is_nullable = 'NO' AND column_default IS NULL AND extra NOT LIKE '%auto_increment%' \
    AND COALESCE(generation_expression, '') = '' \
    AND NOT EXISTS (SELECT 1 FROM information_schema.triggers AS g \
    WHERE g.event_object_schema = table_schema AND g.event_object_table = table_name \
    AND g.action_timing = 'BEFORE' AND g.event_manipulation = 'INSERT') AND NOT JSON_CONTAINS(?, JSON_QUOTE(column_name))";

#[cfg(test)]
mod tests {
    use super::spell;

    #[test]
    fn words_are_replaced_and_parts_of_words_are_not() {
        for (sql, expected) in [
            ("SELECT o.partition, partitions FROM x", "SELECT o.`partition`, partitions FROM x"),
            ("UPDATE x SET a = ? WHERE key = ? RETURNING 1", "UPDATE x SET a = ? WHERE `key` = ?"),
            ("SET id = excluded.id, op = 1", "SET id = VALUES(id), op = 1"),
            ("PRIMARY KEY (partition)", "PRIMARY KEY (`partition`)"),
            ("a = CURRENT_TIMESTAMP", "a = UTC_TIMESTAMP(6)"),
            ("'é' = partition", "'é' = `partition`"),
        ] {
            assert_eq!(spell(sql), expected);
        }
    }
}
