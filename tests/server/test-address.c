/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Addresses as text: what each means, how it is written back, which are refused and why, which are
 * the same. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "config/address-guess.h"
#include "config/address.h"

#define N(x) (sizeof(x) / sizeof *(x))
#define X10  "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

static void test_accepted(void **state)
{
    static const struct {
        const char *text;
        int family, type, protocol;
        const char *back; /* NULL: the same */
    } cases[] = {
        {"8080", AF_INET6, SOCK_STREAM, IPPROTO_TCP, "[::]:8080"},
        {"0", AF_INET6, SOCK_STREAM, IPPROTO_TCP, "[::]:0"},
        {"00080", AF_INET6, SOCK_STREAM, IPPROTO_TCP, "[::]:80"},
        {"65535", AF_INET6, SOCK_STREAM, IPPROTO_TCP, "[::]:65535"},
        {"127.0.0.1:8080", AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL},
        {"0.0.0.0:0", AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL},
        {"[::1]:8080", AF_INET6, SOCK_STREAM, IPPROTO_TCP, NULL},
        {"[0:0::0:1]:8080", AF_INET6, SOCK_STREAM, IPPROTO_TCP, "[::1]:8080"},
        {"[fe80::1%lo]:80", AF_INET6, SOCK_STREAM, IPPROTO_TCP, NULL},
        {"[::ffff:1.2.3.4]:80", AF_INET6, SOCK_STREAM, IPPROTO_TCP, NULL},
        {"/run/x.sock", AF_UNIX, SOCK_STREAM, 0, NULL},
        {"/run/a=b:c", AF_UNIX, SOCK_STREAM, 0, NULL},
        {"@abstract", AF_UNIX, SOCK_STREAM, 0, NULL},
        {"@a/b", AF_UNIX, SOCK_STREAM, 0, NULL},
        {"/" X100 "123456", AF_UNIX, SOCK_STREAM, 0, NULL}, /* 107 bytes */
        {"udp:53", AF_INET6, SOCK_DGRAM, IPPROTO_UDP, "udp:[::]:53"},
        {"udp:127.0.0.1:53", AF_INET, SOCK_DGRAM, IPPROTO_UDP, NULL},
        {"udp:[::1]:53", AF_INET6, SOCK_DGRAM, IPPROTO_UDP, NULL},
        {"tcp:53", AF_INET6, SOCK_STREAM, IPPROTO_TCP, "[::]:53"},
        {"tcp:127.0.0.1:53", AF_INET, SOCK_STREAM, IPPROTO_TCP, "127.0.0.1:53"},
        {"tcp://[::1]:53", AF_INET6, SOCK_STREAM, IPPROTO_TCP, "[::1]:53"},
        {"unix:/run/x", AF_UNIX, SOCK_STREAM, 0, "/run/x"},
        {"unix:///run/x", AF_UNIX, SOCK_STREAM, 0, "/run/x"},
        {"unix:@x", AF_UNIX, SOCK_STREAM, 0, "@x"},
        {"seqpacket:/run/x", AF_UNIX, SOCK_SEQPACKET, 0, NULL},
        {"seqpacket:@x", AF_UNIX, SOCK_SEQPACKET, 0, NULL},
    };

    for (size_t i = 0; i < N(cases); i++) {
        char text[ADDRESS_TEXT_MAX];
        const char *why = NULL;
        struct address a;
        int r = address_parse(cases[i].text, &a, &why);

        if (r < 0)
            fail_msg("\"%s\": %d, %s", cases[i].text, r, why);
        assert_int_equal(a.sa.sa_family, cases[i].family);
        assert_int_equal(a.type, cases[i].type);
        assert_int_equal(a.protocol, cases[i].protocol);
        assert_string_equal(address_format(&a, text),
                            cases[i].back ? cases[i].back : cases[i].text);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *text;
        int error;
        const char *why; /* a word of the reason */
    } cases[] = {
        {"", -EINVAL, "empty"},
        {"65536", -EINVAL, "65535"},
        {"99999999999", -EINVAL, "65535"},
        {"127.0.0.1", -EINVAL, "no port"},
        {"127.0.0.1:", -EINVAL, "port"},
        {"127.0.0.1:x", -EINVAL, "port"},
        {"127.0.0.1:80 ", -EINVAL, "port"},
        {"127.0.0.1:65536", -EINVAL, "65535"},
        {"127.0.0.256:80", -EINVAL, "names are not looked up"},
        {"127.1:80", -EINVAL, "names are not looked up"},
        {"localhost:80", -EINVAL, "names are not looked up"},
        {"www.a-name-that-is-longer-than-any-address.example:80", -EINVAL,
         "names are not looked up"},
        {":80", -EINVAL, "not an address"},
        {"-1", -EINVAL, "not an address"},
        {"80x", -EINVAL, "not an address"},
        {"::1:8080", -EINVAL, "brackets"},
        {"::", -EINVAL, "brackets"},
        {"[::1]", -EINVAL, "no port"},
        {"[::1]8080", -EINVAL, "no port"},
        {"[::1", -EINVAL, "not an address"},
        {"[]:80", -EINVAL, "not an address"},
        {"[:::1]:80", -EINVAL, "not an address"},
        {"[::1]:", -EINVAL, "port"},
        {"[" X100 "]:80", -EINVAL, "not an address"},
        {"[fe80::1%no-such-if]:80", -ENODEV, "interface"},
        {"80,443", -EINVAL, "once for each"},
        {"127.0.0.1:80,127.0.0.1:81", -EINVAL, "once for each"},
        {"run/x.sock", -EINVAL, "relative"},
        {"./x.sock", -EINVAL, "relative"},
        {"/", -EINVAL, "directory"},
        {"/run/", -EINVAL, "directory"},
        {"@", -EINVAL, "not an address"},
        {"/" X100 "1234567", -ENAMETOOLONG, "107"},
        {"@" X100 "1234567", -ENAMETOOLONG, "107"},
        {"udp:", -EINVAL, "port"},
        {"udp:/run/x", -EINVAL, "UDP"},
        {"udp:@x", -EINVAL, "UDP"},
        {"seqpacket:", -EINVAL, "sequential"},
        {"seqpacket:80", -EINVAL, "sequential"},
        {"tcp:", -EINVAL, "port"},
        {"tcp:/run/x", -EINVAL, "TCP"},
        {"tcp://localhost:80", -EINVAL, "names are not looked up"},
        {"unix:", -EINVAL, "begins with /"},
        {"unix:run/x", -EINVAL, "begins with /"},
        {"unix://run/x", -EINVAL, "begins with /"},
        {"unix:127.0.0.1:80", -EINVAL, "begins with /"},
        {"http://127.0.0.1:80", -EINVAL, "URL"},
        {"fd://3", -EINVAL, "passed"},
        {"fd@3", -EINVAL, "passed"},
        {"ftp://127.0.0.1:80", -EINVAL, "URL"},
        {"a::b:80", -EINVAL, "brackets"},
        {"ho::st:80", -EINVAL, "names are not looked up"},
    };

    for (size_t i = 0; i < N(cases); i++) {
        struct address a = {.type = 4711};
        const char *why = NULL;
        int r = address_parse(cases[i].text, &a, &why);

        if (r != cases[i].error || !why || !strstr(why, cases[i].why))
            fail_msg("\"%s\": %d, %s", cases[i].text, r, why ? why : "no reason");
        assert_int_equal(a.type, 4711);
        assert_true(address_parse(cases[i].text, &a, NULL) < 0);
    }
}

static void test_names(void **state)
{
    static const struct {
        const char *text, *name; /* NULL: refused */
        const char *address;
    } cases[] = {
        {"8080", "", "[::]:8080"},
        {"web=8080", "web", "[::]:8080"},
        {"my-app.socket=/run/x=y", "my-app.socket", "/run/x=y"},
        {"/run/web=8080", "", "/run/web=8080"},
        {"@web=8080", "", "@web=8080"},
        {"u=udp:127.0.0.1:53", "u", "udp:127.0.0.1:53"},
        {"=8080", NULL, NULL},
        {"a b=8080", NULL, NULL},
        {"\xc3\xa9=8080", NULL, NULL},
        {"aiotools-sd.x=8080", NULL, NULL},
        {"web=", NULL, NULL},
        {"web==8080", NULL, NULL},
        {X100 X100 X10 X10 X10 X10 X10 "xxxxxx=8080", NULL, NULL}, /* 256 characters */
    };

    for (size_t i = 0; i < N(cases); i++) {
        char name[ADDRESS_NAME_MAX + 1] = "before", text[ADDRESS_TEXT_MAX];
        const char *why = NULL;
        struct address a;
        int r = address_parse_named(cases[i].text, name, &a, &why);

        if ((r < 0) != !cases[i].name)
            fail_msg("\"%s\": %d, %s", cases[i].text, r, why ? why : "");
        assert_string_equal(name, r < 0 ? "before" : cases[i].name);
        if (r < 0)
            assert_non_null(why);
        else
            assert_string_equal(address_format(&a, text), cases[i].address);
    }
}

static void test_guesses(void **state)
{
    static const struct {
        const char *text, *meant; /* NULL: nothing comes to mind */
    } cases[] = {
        {"http://0.0.0.0:8080", "0.0.0.0:8080"},
        {"https://[::1]:443/", "[::1]:443"},
        {"http://localhost:3000/path?x#y", "127.0.0.1:3000"},
        {"HTTP://*:80", "80"},
        {"ssl://127.0.0.1:80", "127.0.0.1:80"},
        {"http://:80", "80"},
        {"udp://127.0.0.1:53", "udp:127.0.0.1:53"},
        {"unix-listen:/run/x", "/run/x"},
        {"file:///run/x", "/run/x"},
        {"unix@/run/x", "/run/x"},
        {"abns@x", "@x"},
        {"ipv4@127.0.0.1:80", "127.0.0.1:80"},
        {"udp4:127.0.0.1:53", "udp:127.0.0.1:53"},
        {":8080", "8080"},
        {"*:8080", "8080"},
        {"localhost:8080", "127.0.0.1:8080"},
        {"udp:localhost:53", "udp:127.0.0.1:53"},
        {"tcp:localhost:80", "127.0.0.1:80"},
        {"tcp://*:80", "80"},
        {"0:8080", "0.0.0.0:8080"},
        {"8080/tcp", "8080"},
        {"53/udp", "udp:53"},
        {"127.0.0.1:53/udp", "udp:127.0.0.1:53"},
        {"8080:80", "8080"},
        {"127.0.0.1:8080:80", "127.0.0.1:8080"},
        {"::1:8080", "[::1]:8080"},
        {":::8080", "[::]:8080"},
        {"fe80::1:80", "[fe80::1]:80"},
        {"", NULL},
        {":", NULL},
        {"*", NULL},
        {"x", NULL},
        {"::", NULL},
        {"http", NULL},
        {"http://", NULL},
        {"http:///", NULL},
        {"fd://3", NULL},
        {"run/x.sock", NULL},
        {"example.com:80", NULL},
        {"127.0.0.1", NULL},
        {"http://127.0.0.1", NULL},
        {"http://" X100 X10 X10 X10 X10 X10 ":80", NULL},
    };

    for (size_t i = 0; i < N(cases); i++) {
        char buffer[ADDRESS_TEXT_MAX];
        const char *meant = address_guess(cases[i].text, buffer);

        if (!meant != !cases[i].meant || (meant && strcmp(meant, cases[i].meant) != 0))
            fail_msg("\"%s\": %s", cases[i].text, meant ? meant : "nothing");
    }
}

static struct address parse(const char *text)
{
    struct address a;

    assert_int_equal(address_parse(text, &a, NULL), 0);
    return a;
}

static void test_matches(void **state)
{
    static const struct {
        const char *wanted, *bound;
        bool any_port, matches;
    } cases[] = {
        {"8080", "[::]:8080", false, true},
        {"8080", "0.0.0.0:8080", false, true},
        {"[::]:8080", "0.0.0.0:8080", false, false},
        {"0.0.0.0:8080", "[::]:8080", false, false},
        {"8080", "[::]:8081", false, false},
        {"8080", "127.0.0.1:8080", false, false},
        {"8080", "udp:8080", false, false},
        {"127.0.0.1:0", "127.0.0.1:8080", false, false},
        {"127.0.0.1:0", "127.0.0.1:8080", true, true},
        {"127.0.0.1:1", "127.0.0.1:8080", true, false},
        {"127.0.0.2:0", "127.0.0.1:8080", true, false},
        {"/run/x", "/run/x", false, true},
        {"/run/x", "/run/xy", false, false},
        {"/run/x", "seqpacket:/run/x", false, false},
        {"@run", "@run", false, true},
        {"@run", "@runs", false, false},
        {"@run/x", "/run/x", false, false},
        {"/run/x", "8080", true, false},
        {"8080", "/run/x", true, false},
    };

    for (size_t i = 0; i < N(cases); i++) {
        struct address wanted = parse(cases[i].wanted), bound = parse(cases[i].bound);

        if (address_matches(&wanted, &bound, cases[i].any_port) != cases[i].matches)
            fail_msg("%s, %s", cases[i].wanted, cases[i].bound);
    }
}

static void test_overlaps(void **state)
{
    static const struct {
        const char *a, *b;
        bool overlaps;
    } cases[] = {
        {"8080", "8080", true},
        {"8080", "[::]:8080", true},
        {"8080", "127.0.0.1:8080", true},
        {"8080", "[::1]:8080", true},
        {"8080", "0.0.0.0:8080", true},
        {"0.0.0.0:8080", "127.0.0.1:8080", true},
        {"0.0.0.0:8080", "[::1]:8080", false},
        {"127.0.0.1:8080", "127.0.0.2:8080", false},
        {"127.0.0.1:8080", "[::1]:8080", false},
        {"8080", "8081", false},
        {"8080", "udp:8080", false},
        {"0", "0", false},
        {"/run/x", "/run/x", true},
        {"/run/x", "/run/y", false},
        {"/run/x", "8080", false},
        {"@x", "@x", true},
    };

    for (size_t i = 0; i < N(cases); i++) {
        struct address a = parse(cases[i].a), b = parse(cases[i].b);

        if (address_overlaps(&a, &b) != cases[i].overlaps ||
            address_overlaps(&b, &a) != cases[i].overlaps)
            fail_msg("%s, %s", cases[i].a, cases[i].b);
    }
}

/* What is bound is read back as what it was bound from. */
static void test_of_socket(void **state)
{
    static const char *const texts[] = {
        "127.0.0.1:0",   "[::1]:0",         "0",
        "@test-address", "udp:127.0.0.1:0", "seqpacket:@test-address"};
    struct address back;

    for (size_t i = 0; i < N(texts); i++) {
        struct address a = parse(texts[i]);
        int fd = socket(a.sa.sa_family, a.type, a.protocol);

        if (fd < 0 && a.sa.sa_family == AF_INET6)
            continue;
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, &a.sa, a.size), 0);
        assert_int_equal(address_of_socket(fd, &back), 0);
        assert_true(address_matches(&a, &back, true));
        assert_true(address_is_inet(&a) == (address_port(&back) != 0));
        close(fd);
    }
    assert_int_equal(address_of_socket(0, &back) < 0, 1);
    assert_int_equal(address_of_socket(-1, &back), -EBADF);
}

/* Unbound, of another family, or none at all: nothing is read beyond what is there. */
static void test_of_odd_sockets(void **state)
{
    struct address none = {0}, wanted = parse("/run/x"), unbound;
    char text[ADDRESS_TEXT_MAX];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_int_equal(address_of_socket(fd, &unbound), 0);
    assert_false(address_matches(&wanted, &unbound, true));
    assert_null(address_path(&unbound));
    assert_string_equal(address_format(&unbound, text), "");
    assert_string_equal(address_format(&none, text), "no address");
    assert_false(address_matches(&wanted, &none, true));
    assert_null(address_path(&none));
    assert_int_equal(address_port(&none), 0);
    close(fd);

    fd = socket(AF_NETLINK, SOCK_RAW, 0);
    if (fd >= 0 && address_of_socket(fd, &unbound) == 0)
        assert_string_equal(address_format(&unbound, text), "no address");
    close(fd);
}

static void test_control_characters(void **state)
{
    struct address a = parse("/run/\x1b[31mx\x7f");
    char text[ADDRESS_TEXT_MAX];

    assert_string_equal(address_format(&a, text), "/run/?[31mx?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_guesses),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_of_socket),
        cmocka_unit_test(test_of_odd_sockets),
        cmocka_unit_test(test_control_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
