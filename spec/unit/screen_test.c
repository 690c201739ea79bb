/* screen: news, interrupts, and keeping writers away from a line. */
#include "host/screen.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

static struct neap_screen screen;

static int open_screen(void **state) {
    (void)state;
    if (neap_screen_init(&screen) != 0) return -1;
    return neap_screen_open(&screen);
}

static int close_screen(void **state) {
    (void)state;
    neap_screen_fini(&screen);
    return 0;
}

static bool has_news(void) {
    struct pollfd look = {.fd = atomic_load(&screen.wake), .events = POLLIN};
    return poll(&look, 1, 0) > 0;
}

static void news_are_taken_once(void **state) {
    (void)state;
    assert_false(has_news());
    neap_screen_tell(&screen, NEAP_SCREEN_RESIZED);
    neap_screen_tell(&screen, NEAP_SCREEN_RESUMED);
    assert_true(has_news());
    assert_int_equal(neap_screen_take(&screen), NEAP_SCREEN_RESIZED | NEAP_SCREEN_RESUMED);
    assert_false(has_news());
    assert_int_equal(neap_screen_take(&screen), 0);
}

static void a_second_interrupt_within_a_second_is_not_told(void **state) {
    (void)state;
    assert_true(neap_screen_interrupt(&screen));
    assert_false(neap_screen_interrupt(&screen));
    assert_int_equal(neap_screen_take(&screen), NEAP_SCREEN_INTERRUPT);
    atomic_store(&screen.interrupted, atomic_load(&screen.interrupted) - 2000000000);
    assert_true(neap_screen_interrupt(&screen));
}

static void a_closed_one_tells_nothing(void **state) {
    (void)state;
    neap_screen_close(&screen);
    assert_false(neap_screen_interrupt(&screen));
    neap_screen_tell(&screen, NEAP_SCREEN_RESIZED);
    assert_false(neap_screen_begin(&screen, stdout));
    neap_screen_end(&screen, stdout, false, 'x');
    assert_int_equal(neap_screen_open(&screen), 0);
    assert_int_equal(neap_screen_take(&screen), 0);
}

/* What the writer has put on stdout, which is a pipe meanwhile. */
static void write_over(int row, char *text, size_t size) {
    int ends[2], before = dup(STDOUT_FILENO);
    assert_true(before >= 0 && pipe(ends) == 0);
    fflush(stdout);
    assert_true(dup2(ends[1], STDOUT_FILENO) >= 0);
    screen.shown = row >= 0;
    screen.row = row;
    bool begun = neap_screen_begin(&screen, stdout);
    assert_true(begun);
    assert_int_equal(write(STDOUT_FILENO, "x", 1), 1);
    neap_screen_end(&screen, stdout, begun, 'x');
    assert_true(dup2(before, STDOUT_FILENO) >= 0);
    close(before);
    close(ends[1]);
    ssize_t got = read(ends[0], text, size - 1);
    close(ends[0]);
    assert_true(got >= 0);
    text[got] = '\0';
}

static void a_writer_takes_the_line_away_and_says_so(void **state) {
    char text[64];
    (void)state;
    write_over(-1, text, sizeof text);
    assert_string_equal(text, "x");
    assert_false(has_news());
    write_over(0, text, sizeof text);
    assert_string_equal(text, "\r\033[Jx");
    assert_false(screen.shown);
    assert_true(screen.torn);
    assert_int_equal(neap_screen_take(&screen), NEAP_SCREEN_HIDDEN);
    write_over(2, text, sizeof text);
    assert_string_equal(text, "\r\033[2A\033[Jx");
}

/* --- the footer: stdout and stderr are a terminal meanwhile --- */

static int terminal, saved[2];

static int open_terminal(void **state) {
    struct termios modes;
    struct winsize size = {.ws_row = 24, .ws_col = 10};
    (void)state;
    terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) return -1;
    int other = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    if (other < 0 || tcgetattr(other, &modes) != 0) return -1;
    cfmakeraw(&modes);
    if (tcsetattr(other, TCSANOW, &modes) != 0 || ioctl(other, TIOCSWINSZ, &size) != 0) return -1;
    fflush(stdout);
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        saved[fd - 1] = dup(fd);
        if (dup2(other, fd) < 0) return -1;
    }
    close(other);
    return neap_screen_init(&screen);
}

static int close_terminal(void **state) {
    (void)state;
    neap_screen_fini(&screen);
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        dup2(saved[fd - 1], fd);
        close(saved[fd - 1]);
    }
    close(terminal);
    return 0;
}

/* The next bytes that come to the terminal are these. */
static void expect(const char *text) {
    char got[128];
    size_t size = 0, wanted = strlen(text);
    while (size < wanted) {
        ssize_t part = read(terminal, got + size, sizeof got - 1 - size);
        assert_true(part > 0);
        size += (size_t)part;
    }
    got[size] = '\0';
    assert_string_equal(got, text);
}

static void draw(const char *above, const char *footer) {
    assert_int_equal(neap_screen_draw(&screen, above, strlen(above), footer, strlen(footer)), 0);
}

/* Whether there was a line or a footer to be seen to. */
static bool print(int fd, const char *text) {
    FILE *file = fd == STDOUT_FILENO ? stdout : stderr;
    bool begun = neap_screen_begin(&screen, file);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    neap_screen_end(&screen, file, begun, text[strlen(text) - 1]);
    return begun;
}

static void nobody_pays_before_there_is_a_footer(void **state) {
    (void)state;
    assert_false(print(STDOUT_FILENO, "x\n"));
    expect("x\n");
    draw("", "a");
    expect("a");
    assert_true(print(STDOUT_FILENO, "x\n"));
    expect("\r\033[Kx\na");
}

static atomic_bool drawn;

static void *draw_first(void *unused) {
    draw("", "a");
    atomic_store(&drawn, true);
    return unused;
}

static void the_first_footer_waits_for_who_is_writing(void **state) {
    static const struct timespec moment = {.tv_nsec = 1000000};
    FILE *files[] = {stdout, stderr};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        pthread_t other;
        atomic_store(&drawn, false);
        bool begun = neap_screen_begin(&screen, files[i]);
        assert_false(begun);
        assert_int_equal(pthread_create(&other, NULL, draw_first, NULL), 0);
        for (int moments = 0; moments < 20; moments++) {
            nanosleep(&moment, NULL);
            assert_false(atomic_load(&drawn));
        }
        assert_int_equal(write(STDERR_FILENO, "x\n", 2), 2);
        neap_screen_end(&screen, files[i], begun, '\n');
        assert_int_equal(pthread_join(other, NULL), 0);
        expect("x\na");
        neap_screen_fini(&screen);
        expect("\n");
        assert_int_equal(neap_screen_init(&screen), 0);
    }
    (void)state;
}

static void *try_to_print(void *unused) {
    bool begun, free = neap_screen_try_begin(&screen, stdout, &begun);
    if (free) neap_screen_end(&screen, stdout, begun, '\0');
    return free ? &screen : unused;
}

/* Could another thread begin? */
static bool others_could(void) {
    pthread_t other;
    void *result;
    assert_int_equal(pthread_create(&other, NULL, try_to_print, NULL), 0);
    assert_int_equal(pthread_join(other, &result), 0);
    return result != NULL;
}

static void who_tries_does_not_wait_for_who_is_writing(void **state) {
    (void)state;
    for (int footed = 0; footed < 2; footed++) {
        assert_true(others_could());
        bool begun = neap_screen_begin(&screen, stdout);
        assert_int_equal(begun, footed);
        assert_false(others_could());
        neap_screen_end(&screen, stdout, begun, '\0');
        assert_true(others_could());
        draw("", "a");
    }
}

static void what_is_printed_comes_above_the_footer(void **state) {
    (void)state;
    draw("", "a\nb");
    expect("a\nb");
    print(STDOUT_FILENO, "x\n");
    expect("\r\033[K\033[A\033[Kx\na\nb");
    print(STDERR_FILENO, "y\n");
    expect("\r\033[K\033[A\033[Ky\na\nb");
    draw("z\n", "c");
    expect("\r\033[K\033[A\033[Kz\nc");
    draw("", "");
    expect("\r\033[K");
    print(STDOUT_FILENO, "w\n");
    expect("w\n");
}

static void the_footer_stays_away_while_a_line_is_not_complete(void **state) {
    (void)state;
    draw("", "a");
    print(STDOUT_FILENO, "x");
    expect("a\r\033[Kx");
    draw("", "b");
    print(STDOUT_FILENO, "y\n");
    expect("y\nb");
}

static void the_rows_of_a_footer_are_counted_by_the_width_that_the_terminal_has(void **state) {
    struct winsize size = {.ws_row = 24, .ws_col = 4};
    (void)state;
    draw("", "12345\n\xC3\xA4\xC3\xB6\xC3\xBC");
    assert_int_equal(ioctl(terminal, TIOCSWINSZ, &size), 0);
    draw("", "");
    expect("12345\n\xC3\xA4\xC3\xB6\xC3\xBC\r\033[K\033[A\033[K\033[A\033[K");
}

static void the_footer_gives_way_to_a_line_that_is_edited(void **state) {
    (void)state;
    draw("", "a");
    neap_screen_give_way(&screen);
    screen.shown = true;
    draw("", "b");
    screen.shown = false;
    draw("", "c");
    expect("a\r\033[Kc");
}

static void what_is_left_of_a_footer_ends_its_line(void **state) {
    (void)state;
    draw("", "a");
    neap_screen_fini(&screen);
    expect("a\n");
    assert_int_equal(neap_screen_init(&screen), 0);
}

#define WITH_TERMINAL(test) cmocka_unit_test_setup_teardown(test, open_terminal, close_terminal)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(news_are_taken_once, open_screen, close_screen),
        cmocka_unit_test_setup_teardown(a_second_interrupt_within_a_second_is_not_told, open_screen, close_screen),
        cmocka_unit_test_setup_teardown(a_closed_one_tells_nothing, open_screen, close_screen),
        cmocka_unit_test_setup_teardown(a_writer_takes_the_line_away_and_says_so, open_screen, close_screen),
        WITH_TERMINAL(nobody_pays_before_there_is_a_footer),
        WITH_TERMINAL(the_first_footer_waits_for_who_is_writing),
        WITH_TERMINAL(who_tries_does_not_wait_for_who_is_writing),
        WITH_TERMINAL(what_is_printed_comes_above_the_footer),
        WITH_TERMINAL(the_footer_stays_away_while_a_line_is_not_complete),
        WITH_TERMINAL(the_rows_of_a_footer_are_counted_by_the_width_that_the_terminal_has),
        WITH_TERMINAL(the_footer_gives_way_to_a_line_that_is_edited),
        WITH_TERMINAL(what_is_left_of_a_footer_ends_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
