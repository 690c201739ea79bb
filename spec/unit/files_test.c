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
static bool opens;   /* has somebody been able to open a file whom its mode would keep from it? */
static bool relinks; /* what is asked about, a link, leads to itself with "+" behind it from then on */

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

int fchmod(int fd, mode_t mode) {
    struct stat info;
    assert_int_equal(fstat(fd, &info), 0);
    if (info.st_mode & 077 & ~mode) opens = true;
    return (int)syscall(SYS_fchmod, fd, mode);
}

int stat(const char *restrict name, struct stat *restrict info) {
    char other[80];
    int result = fstatat(AT_FDCWD, name, info, 0);
    snprintf(other, sizeof other, "%s+", path);
    if (relinks && (unlink(path) != 0 || symlink(other, path) != 0)) fail();
    relinks = false;
    return result;
}

static int begin(void **state) {
    snprintf(path, sizeof path, "%s", P_tmpdir "/neap_files_XXXXXX");
    removes = opens = relinks = false;
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

static void make_other(const char *name, mode_t mode) {
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    assert_int_equal(syscall(SYS_fchmod, fd, mode), 0);
    close(fd);
}

static void nobody_opens_what_is_being_written_whom_its_mode_keeps_from_it(void **state) {
    char from[80];
    (void)state;
    snprintf(from, sizeof from, "%s-", path);
    make_other(from, 0600);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(neap_files_write(path, "new", 3, 0666), 0);
    assert_false(opens);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(neap_files_copy(from, path), 0);
    assert_false(opens);
    unlink(from);
}

static void what_is_like_another_is_like_the_one_it_replaces(void **state) {
    char one[80], other[80];
    struct stat info;
    (void)state;
    snprintf(one, sizeof one, "%s-", path);
    snprintf(other, sizeof other, "%s+", path);
    make_other(one, 0666);
    make_other(other, 0640);
    unlink(path);
    assert_int_equal(symlink(one, path), 0);
    relinks = true;
    assert_int_equal(neap_files_write(path, "new", 3, 0666), 0);
    assert_int_equal(stat(other, &info), 0);
    assert_int_equal(info.st_size, 3);
    assert_int_equal(info.st_mode & 0777, 0640);
    unlink(one);
    unlink(other);
}

static void a_copy_does_not_run_as_the_owner_of_what_it_was_made_of(void **state) {
    char from[80];
    struct stat info;
    (void)state;
    snprintf(from, sizeof from, "%s-", path);
    make_other(from, 06755);
    unlink(path);
    assert_int_equal(neap_files_copy(from, path), 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0755);
    unlink(from);
}

int main(void) {
    const struct CMUnitTest files_tests[] = {
        FILE_TEST(what_is_removed_while_it_is_looked_at_is_written_anew),
        FILE_TEST(a_system_that_does_not_let_one_ask_is_asked_otherwise),
        FILE_TEST(what_may_not_be_written_stays),
        FILE_TEST(nobody_opens_what_is_being_written_whom_its_mode_keeps_from_it),
        FILE_TEST(what_is_like_another_is_like_the_one_it_replaces),
        FILE_TEST(a_copy_does_not_run_as_the_owner_of_what_it_was_made_of),
    };
    return run_once(files_tests);
}
