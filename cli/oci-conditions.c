/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Conditions of docker's profiles: which entries count here. */
#include "oci-profile.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#if defined(__x86_64__)
#define DOCKER_ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define DOCKER_ARCHITECTURE "arm64"
#elif defined(__riscv)
#define DOCKER_ARCHITECTURE "riscv64"
#elif defined(__s390x__)
#define DOCKER_ARCHITECTURE "s390x"
#elif defined(__powerpc64__)
#define DOCKER_ARCHITECTURE "ppc64le"
#else
#define DOCKER_ARCHITECTURE ""
#endif

struct conditions {
    bool has_caps, has_arches, has_kernel;
    bool arch_is_ours, kernel_is_new;
};

static bool contains(const json_t *array, const char *word)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *text = json_string_value(json_array_get(array, i));

        if (text && strcmp(text, word) == 0)
            return true;
    }
    return false;
}

static bool kernel_is_at_least(const char *wanted)
{
    unsigned major = 0, minor = 0, our_major = 0, our_minor = 0;
    struct utsname system;

    if (uname(&system) < 0 || sscanf(system.release, "%u.%u", &our_major, &our_minor) < 1 ||
        sscanf(wanted, "%u.%u", &major, &minor) < 1)
        return false;
    return our_major > major || (our_major == major && our_minor >= minor);
}

/* Anything but a list of strings would be a condition that never applies. */
static int check_words(struct oci_import *im, const json_t *object, const char *key)
{
    const json_t *list = oci_get(object, key);
    int r = 0;

    if (!list)
        return 0;
    oci_enter_key(im, key);
    if (!json_is_array(list))
        r = oci_fail(im, "an array of strings is expected");
    for (size_t i = 0; i < json_array_size(list) && r >= 0; i++) {
        oci_enter_index(im, i);
        if (!json_is_string(json_array_get(list, i)))
            r = oci_fail(im, "a string is expected");
        (void)oci_leave(im, 0);
    }
    return oci_leave(im, r);
}

static int check_kernel(struct oci_import *im, const json_t *object)
{
    const json_t *kernel = oci_get(object, "minKernel");
    unsigned major, minor;
    int end = 0;

    if (!kernel || (json_is_string(kernel) && *json_string_value(kernel) == '\0'))
        return 0;
    oci_enter_key(im, "minKernel");
    if (json_is_string(kernel) &&
        sscanf(json_string_value(kernel), "%u.%u%n", &major, &minor, &end) == 2 &&
        json_string_value(kernel)[end] == '\0')
        return oci_leave(im, 0);
    return oci_leave(im, oci_fail(im, "a version of the form \"5.10\" is expected"));
}

static int read_conditions(struct oci_import *im, const json_t *entry, const char *key,
                           struct conditions *ret)
{
    static const char *const keys[] = {"caps", "arches", "minKernel", NULL};
    const json_t *object = oci_get(entry, key);

    *ret = (struct conditions){0};
    if (!object)
        return 0;
    oci_enter_key(im, key);
    if (!json_is_object(object))
        return oci_leave(im, oci_fail(im, "an object with caps, arches or minKernel is expected"));
    int r = oci_check_keys(im, object, keys);
    if (r >= 0)
        r = check_words(im, object, "caps");
    if (r >= 0)
        r = check_words(im, object, "arches");
    if (r >= 0)
        r = check_kernel(im, object);
    if (r < 0)
        return oci_leave(im, r);
    const char *kernel = json_string_value(oci_get(object, "minKernel"));
    ret->has_caps = json_array_size(oci_get(object, "caps")) > 0;
    ret->has_arches = json_array_size(oci_get(object, "arches")) > 0;
    ret->arch_is_ours = contains(oci_get(object, "arches"), DOCKER_ARCHITECTURE);
    ret->has_kernel = kernel && *kernel;
    ret->kernel_is_new = ret->has_kernel && kernel_is_at_least(kernel);
    return oci_leave(im, 0);
}

int oci_applies(struct oci_import *im, const json_t *entry, bool *ret)
{
    struct conditions in, out;
    int r = read_conditions(im, entry, "includes", &in);

    if (r >= 0)
        r = read_conditions(im, entry, "excludes", &out);
    if (r < 0)
        return r;
    *ret = !in.has_caps && (!in.has_arches || in.arch_is_ours) &&
           (!in.has_kernel || in.kernel_is_new) && !(out.has_arches && out.arch_is_ours) &&
           !(out.has_kernel && out.kernel_is_new);
    return 0;
}
