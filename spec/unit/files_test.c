/* Files that change between one look at them and the next: the C library's calls for the second are replaced here. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/files.h"

static char path[64];
static bool removes; /* what is asked for is gone first */
static int refusal;  /* of faccessat, as containers give that do not know the call; 0: none */
static int asked;    /* how often access was */

static int answer(int folder, const char *name, int mode) {
    if (removes) unlink(name);
    return (int)syscall(SYS_faccessat, folder, name, mode);
}

int faccessat(int folder, const char *name, int mode, int flags) {
    (void)flags;
    errno = refusal;
    return refusal != 0 ? -1 : answer(folder, name, mode);
}

int access(const char *name, int mode) {
    asked++;
    return answer(AT_FDCWD, name, mode);
}

static int begin(void **state) {
    snprintf(path, sizeof path, "%s", P_tmpdir "/neap_files_XXXXXX");
    removes = false;
    refusal = asked = 0;
    int fd = set_up(state) != 0 ? -1 : mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int end(void **state) {
    unlink(path);
    return tear_down(state);
}

static void assert_holds(const char *text) {
    char bytes[16] = "";
    FILE *stream = fopen(path, "r");
    assert_non_null(stream);
    assert_non_null(fgets(bytes, sizeof bytes, stream));
    fclose(stream);
    assert_string_equal(bytes, text);
}

static void what_is_removed_while_it_is_looked_at_is_written_anew(void **state) {
    struct stat info;
    (void)state;
    assert_int_equal(chmod(path, 0200), 0);
    removes = true;
    assert_int_equal(neap_files_write(path, "new", 3, 0600), 0);
    assert_holds("new");
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600); /* not as of what was there */
}

static void a_system_that_does_not_let_one_ask_is_asked_otherwise(void **state) {
    (void)state;
    refusal = EPERM;
    assert_int_equal(neap_files_write(path, "new", 3, 0600), 0);
    assert_int_equal(asked, 1);
    assert_holds("new");
}

static void what_may_not_be_written_stays(void **state) {
    (void)state;
    refusal = EACCES;
    assert_int_equal(neap_files_write(path, "new", 3, 0600), -EACCES);
    assert_int_equal(asked, 0);
}

#define FILE_TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void) {
    const struct CMUnitTest files_tests[] = {
        FILE_TEST(what_is_removed_while_it_is_looked_at_is_written_anew),
        FILE_TEST(a_system_that_does_not_let_one_ask_is_asked_otherwise),
        FILE_TEST(what_may_not_be_written_stays),
    };
    return run_once(files_tests);
}
