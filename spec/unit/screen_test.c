/* screen: news, interrupts, and keeping writers away from a line. */
#include "host/screen.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
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
    assert_false(neap_screen_begin(&screen));
    neap_screen_end(&screen, false, 'x');
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
    bool begun = neap_screen_begin(&screen);
    assert_true(begun);
    assert_int_equal(write(STDOUT_FILENO, "x", 1), 1);
    neap_screen_end(&screen, begun, 'x');
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(news_are_taken_once, open_screen, close_screen),
        cmocka_unit_test_setup_teardown(a_second_interrupt_within_a_second_is_not_told, open_screen, close_screen),
        cmocka_unit_test_setup_teardown(a_closed_one_tells_nothing, open_screen, close_screen),
        cmocka_unit_test_setup_teardown(a_writer_takes_the_line_away_and_says_so, open_screen, close_screen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
