/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An address in the words of another server, in ours: for what is said about one that is refused.
 */

#include "address.h"

/*
 * What address_parse() would accept in the place of text, which it has refused: without the scheme
 * of a URL, with a number for localhost, with brackets. NULL: nothing comes to mind.
 */
const char *address_guess(const char *text, char buffer[static ADDRESS_TEXT_MAX]);
