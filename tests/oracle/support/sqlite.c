// SPDX-License-Identifier: MIT
/*
 * A driver of Debian's libsqlite3: `sqlite FILE JOURNAL` writes a database in that journal mode (delete, wal), with two
 * connections in WAL mode and a commit every 50 rows; `sqlite FILE` checks it. Both print what the rows add up to.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 10000, ROWS_A_COMMIT = 50 };

static void run(sqlite3 *db, const char *sql)
{
    char *error = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &error) == SQLITE_OK)
        return;
    printf("sqlite: %s: %s\n", sql, error);
    exit(1);
}

static sqlite3 *opened(const char *path)
{
    sqlite3 *db;

    if (sqlite3_open(path, &db) == SQLITE_OK)
        return db;
    printf("sqlite: %s: %s\n", path, sqlite3_errmsg(db));
    exit(1);
}

static int print_row(void *context, int count, char **values, char **names)
{
    (void)context;
    (void)names;
    for (int i = 0; i < count; i++)
        printf("%s%s", i ? " " : "sqlite: ", values[i]);
    printf("\n");
    return 0;
}

static void query(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, print_row, NULL, NULL) != SQLITE_OK) {
        printf("sqlite: %s: %s\n", sql, sqlite3_errmsg(db));
        exit(1);
    }
}

static void insert_rows(sqlite3 *db, sqlite3 *other)
{
    sqlite3_stmt *insert;
    char text[200];

    if (sqlite3_prepare_v2(db, "INSERT INTO t VALUES (?, ?, ?)", -1, &insert, NULL) != SQLITE_OK)
        exit(1);
    for (int i = 0; i < ROWS; i++) {
        if (i % ROWS_A_COMMIT == 0)
            run(db, "BEGIN");
        snprintf(text, sizeof(text), "row %d %*d", i, i % 150, i * 7);
        sqlite3_bind_int(insert, 1, i);
        sqlite3_bind_int(insert, 2, (int)(i * 7919L % 10007));
        sqlite3_bind_text(insert, 3, text, -1, SQLITE_TRANSIENT);
        if (sqlite3_step(insert) != SQLITE_DONE) {
            printf("sqlite: row %d: %s\n", i, sqlite3_errmsg(db));
            exit(1);
        }
        sqlite3_reset(insert);
        if (i % ROWS_A_COMMIT == ROWS_A_COMMIT - 1)
            run(db, "COMMIT");
        if (other && i % 1000 == 999)
            run(other, "SELECT count(*) FROM t");
    }
    sqlite3_finalize(insert);
}

int main(int argc, char **argv)
{
    sqlite3 *db = opened(argv[1]), *other = NULL;
    char text[100];

    if (argc > 2) {
        snprintf(text, sizeof(text), "PRAGMA journal_mode=%s", argv[2]);
        run(db, text);
        run(db, "PRAGMA synchronous=FULL");
        run(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, number INTEGER, text TEXT)");
        run(db, "CREATE INDEX numbers ON t (number)");
        if (argv[2][0] == 'w')
            other = opened(argv[1]);
        insert_rows(db, other);
        run(db, "DELETE FROM t WHERE number % 5 = 0");
    }
    query(db, "PRAGMA integrity_check");
    query(db, "SELECT count(*), sum(id), sum(number), sum(length(text)), max(text) FROM t");
    if (other)
        sqlite3_close(other);
    sqlite3_close(db);
    return 0;
}
