// Holds the one write transaction of a revocation store, as a process would that hangs in the middle of it: says "held",
// and ends when its input does. store_writer FOLDER

#include <lmdb.h>
#include <stdio.h>

int main(int count, char** words) {
    enum { most_databases = 8 };
    MDB_env* env = NULL;
    MDB_txn* txn = NULL;
    if (count != 2 || mdb_env_create(&env) != 0 || mdb_env_set_maxdbs(env, most_databases) != 0 ||
        mdb_env_open(env, words[1], MDB_NOTLS, 0600) != 0 || mdb_txn_begin(env, NULL, 0, &txn) != 0) {
        puts("failed");
        return 1;
    }
    puts("held");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return 0;
}
