/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The command line that ps(1) shows of the calling process. It is cut to the room that the command
 * line of the exec left.
 */
void process_set_title(const char *title);
