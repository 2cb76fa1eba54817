"""What a migration may not do to a table with millions of rows that others write and read at the same time."""

import re
from dataclasses import dataclass

LARGE = r'"?(ledger_(?:usageevent|session|tail|supplement|rollup(?:_\d+)?))"?'
"""The tables that grow with the calls."""
VOLATILE = r"now\(\)|clock_timestamp|statement_timestamp|random\(|gen_random_uuid|uuidv?\d|nextval"


@dataclass(frozen=True)
class Rule:
    """A kind of statement that is refused, and what is done instead."""

    pattern: str
    instead: str

    def finds(self, statement: str) -> str | None:
        """The table that the statement would hold up."""
        found = re.search(self.pattern.replace("LARGE", LARGE), statement, re.IGNORECASE)
        return found[1] if found else None


RULES = (
    Rule(r"^CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)[^(]* ON (?:ONLY )?LARGE", "ledger.online.AddIndexOnline"),
    Rule(r"^ALTER TABLE LARGE .*ALTER COLUMN \S+ (?:SET DATA )?TYPE ", "a new column, filled by the worker"),
    Rule(rf"^ALTER TABLE LARGE .*ADD COLUMN .*DEFAULT [^,]*(?:{VOLATILE})", "a constant default"),
    Rule(r"^ALTER TABLE LARGE .*ADD COLUMN .*(?:GENERATED|SERIAL|PRIMARY KEY|UNIQUE|REFERENCES)", "a plain column"),
    Rule(
        r"^ALTER TABLE LARGE .*ADD COLUMN (?!.*DEFAULT).*NOT NULL",
        "a column with a db_default, or one that may be NULL",
    ),
    Rule(r"^ALTER TABLE LARGE .*ALTER COLUMN \S+ DROP DEFAULT", "db_default: older processes do not name the column"),
    Rule(
        r"^ALTER TABLE LARGE .*SET NOT NULL", "a CHECK constraint that is NOT VALID, and VALIDATE in the next migration"
    ),
    Rule(
        r"^ALTER TABLE LARGE .*ADD CONSTRAINT .*(?:CHECK|FOREIGN KEY)(?!.*NOT VALID)", "NOT VALID, and VALIDATE later"
    ),
    Rule(
        r"^ALTER TABLE LARGE .*ADD CONSTRAINT .*(?:UNIQUE|PRIMARY KEY|EXCLUDE)(?!.*USING INDEX)", "an index made online"
    ),
    Rule(
        r"^ALTER TABLE LARGE .*(?:RENAME|DROP COLUMN)", "the next release: processes of this one still use the old name"
    ),
    Rule(r"^ALTER TABLE LARGE .*(?:SET TABLESPACE|SET LOGGED|SET UNLOGGED|SET ACCESS METHOD)", "maintenance by hand"),
    Rule(r"^(?:DROP TABLE|LOCK TABLE|LOCK|CLUSTER|TRUNCATE(?: TABLE)?|VACUUM FULL)\b.*?LARGE", "the next release"),
    Rule(r"^REINDEX (?!.*CONCURRENTLY).*LARGE", "REINDEX CONCURRENTLY"),
    Rule(r"^UPDATE (?:ONLY )?LARGE", "a job of the worker, in batches that are committed one by one"),
    Rule(r"^DELETE FROM (?:ONLY )?LARGE", "a job of the worker, in batches that are committed one by one"),
    Rule(r"^INSERT INTO .*\bSELECT\b.*\bFROM LARGE", "a job of the worker, in batches that are committed one by one"),
)


def violations(statements: list[str]) -> list[str]:
    """What is wrong with the statements of one migration. Tables that the same migration makes are empty."""
    plain = [" ".join(re.sub(r"--[^\n]*", "", statement).split()) for statement in statements]
    new = set(re.findall(rf"CREATE TABLE (?:IF NOT EXISTS )?{LARGE}", "\n".join(plain), re.IGNORECASE))
    found = []
    for statement in plain:
        for rule in RULES:
            table = rule.finds(statement)
            if table is not None and table not in new:
                found.append(f"{statement[:100]}: instead, {rule.instead}")
    return found
