#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Section 3 of the manual: a page a group of functions, and for each name in the page's NAME section, and each type and constant that it shows, an
alias that leads to it.

    manual.py --names HEADER... -- PAGE...        what it makes of these pages, a file name a line
    manual.py --make FOLDER HEADER... -- PAGE...  makes it

A page says which library it is about in the last word of its .TH line. In a page, @SYNOPSIS@ becomes the prototypes of its functions, @TYPE name@ the definition of that type, or of the constants that name is one of, each as in
the headers; @EXAMPLE@ becomes examples/PAGE.c and what there is of examples/PAGE-*.c; @ERRORS@ what may happen to any call. Outside examples and macro lines, ait_name(), AIT_NAME, ret_name and -ENAME are set in their fonts.
"""
import os
import re
import sys
import textwrap

CLEANUP = r"^AIT_DEFINE_CLEANUP_\((\w+), (\w+)\)"
PROTOTYPE = r"(?:^|;)\s*([\w\s*]*?\bait_\w+\([^;]*?\)(?:\s*__attribute__[^;]*)?)(?=;)"
ERRORS = """\
In addition to the errors above, these calls may return
.TP
-ECANCELED
The call can wait, and a scope that the calling task is in is cancelled. This is returned at entry, before anything has happened, or by the wait. It has no other meaning.
.TP
-EPERM
A task is needed, and the call was made outside one.
.TP
-ECHILD
The loop, task or scope belongs to the process from which this one was forked.
.TP
-EINVAL
An argument is invalid.
.TP
-ENOMEM
Memory is short. Waiting allocates nothing, and cannot fail for this reason.
.PP
Outputs are untouched on failure.
"""


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def stem(path):
    return os.path.basename(path).split(".")[0]


def names(path):
    """What the page is about: the names in its NAME section."""
    match = re.search(r'^\.SH "?NAME"?\n(.*?)^\.S[Hh]', read(path), re.M | re.S)
    if not match or r"\-" not in match.group(1):
        sys.exit(f"{path}: no NAME section of the form: name, name \\- what they are")
    found = re.findall(r"\w+", match.group(1).split(r" \-")[0])
    return list(dict.fromkeys([stem(path)] + found))


def roff(line):
    line = line.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return "\\&" + line if line[:1] == "." else line


def code(text):
    return "\n".join([".EX"] + [roff(line) for line in text.strip("\n").splitlines()] + [".EE"])


def wrap(line):
    """Breaks a prototype between its parameters."""
    joined = line.replace(", ", ",\n").replace(" ", "\0").replace(",\n", ", ")
    return "\n".join(textwrap.wrap(joined, 76, subsequent_indent=" " * 8, break_long_words=False)).replace("\0", " ")


def prototypes(headers, path):
    """Of the functions and macros that the page is about, but for macros that it shows itself."""
    synopsis = re.search(r"^\.SH SYNOPSIS\n(.*?)^\.S[Hh]", read(path), re.M | re.S).group(1)
    wanted, lines = names(path), []
    for header in headers:
        text = re.sub(r"/\*.*?\*/|^#.*?[^\\]$|\btypedef\b[^;{]*;", "", read(header), flags=re.S | re.M)
        text = re.sub(CLEANUP, r"static inline void \2p(\1 **p);", text, flags=re.M)
        text = re.sub(r"\{[^{}]*\}|AIT_(BEGIN|END)_DECLS", ";", text.replace("AIT_MUST_CHECK", ""))
        found = [re.sub(r"\s+", " ", declaration).strip()
                 for declaration in re.findall(PROTOTYPE, text)]
        found = [one for one in found if re.search(r"\b(ait_\w+)\(", one).group(1) in wanted]
        macros = [one for one in dict.fromkeys(re.findall(r"^#define (AIT_\w+\(.*?\))", read(header), re.M))
                  if one.split("(")[0] in wanted and one.split("(")[0] not in synopsis]
        if found or macros:
            lines += [f"#include <aiotools-sd/{os.path.basename(header)}>", ""]
            lines += [wrap(re.sub(r"\s*__attribute__.*", "", one) + ";") for one in found]
            lines += [""] * bool(found and macros) + macros + [""]
    return code("\n".join(lines))


def definition(headers, name):
    """The text of a struct, an enum (by its name or by that of a constant in it), the type of a callback, or the macros around this one."""
    kinds = (rf"^typedef struct {name} \{{.*?^\}} {name};", rf"^typedef enum {name} \{{.*?^\}} {name};", rf"^enum \{{[^}}]*\b{name}\b[^}}]*\}};",
             rf"^typedef [^;{{]*?\(\*{name}\)\([^;]*\);", rf"(?:^#define \w+ [^\n]*\n)*^#define {name} [^\n]*\n(?:^#define \w+ [^\n]*\n)*")
    for header in headers:
        match = re.search("|".join(kinds), read(header), re.M | re.S)
        if match:
            return match.group(0)
    sys.exit(f"{name}: in no header")


def library(path):
    """A section, before the synopsis: what a program is linked with."""
    name = re.search(r'^\.TH .*"([^"]*)"$', read(path), re.M).group(1)
    return f".SH LIBRARY\n{roff(name)} (\\fB{roff('-' + name.replace('lib', 'l', 1))}\\fR, \\fBpkg\\-config {roff(name)}\\fR)"


def shown(path, headers):
    """The names of the types and constants that a page shows."""
    for name in re.findall(r"^@TYPE (\w+)@$", read(path), re.M):
        text = re.sub(r"/\*.*?\*/", "", definition(headers, name), flags=re.S)
        yield from [name] * (not name.isupper()) + re.findall(r"(?:^#define |[{,]\s*)(AIT_\w+)", text, re.M)


def fonts(line):
    if line.startswith((".", "'")):
        return line
    line = re.sub(r"(?<![\w\\])(?<!\\f[BI])(ait_\w+)(?=\(\))", r"\\fB\1\\fR", line)
    line = re.sub(r"(?<![\w\\])(?<!\\f[BI])(AIT_[A-Z_]+)\b", r"\\fB\1\\fR", line)
    line = re.sub(r"(?<![\w\\])-(E[A-Z0-9]{2,})\b", r"\\fB\\-\1\\fR", line)
    return re.sub(r"(?<![\w\\])(?<!\\f[BI])(ret_\w+|ret)\b", r"\\fI\1\\fR", line)


def examples(path):
    """The program of the page's name, and those behind it, each after the comment that it begins with."""
    folder, out = os.path.join(os.path.dirname(path), "examples"), []
    for name in [stem(path) + ".c"] + sorted(name for name in os.listdir(folder) if name.startswith(stem(path) + "-")):
        source = re.sub(r"^/\* SPDX-.*\n", "", read(os.path.join(folder, name)))
        about = re.match(r"/\* (.*?) \*/\n", source) if out else None
        if about:
            out.append(".PP\n" + roff(about.group(1)) + "\n.PP")
        out.append(code(source[about.end():] if about else source))
    return "\n".join(out)


def page(path, headers):
    text = re.sub(r"^(\.SH ERRORS\n)?@ERRORS@\n", lambda match: (match.group(1) or ".PP\n") + ERRORS, read(path), flags=re.M)
    out, inside = [], False
    for line in text.splitlines():
        inside = (inside or line in (".EX", ".SH NAME")) and line not in (".EE", ".SH SYNOPSIS")
        match = re.fullmatch(r"@(\w+)(?: (\w+))?@", line)
        if line == ".SH SYNOPSIS":
            out.append(library(path))
        if not match:
            out.append(line if inside else fonts(line))
        elif match.group(1) == "SYNOPSIS":
            out.append(prototypes(headers, path))
        elif match.group(1) == "TYPE":
            out.append(code(definition(headers, match.group(2))))
        else:
            out.append(examples(path))
    return "\n".join(out) + "\n"


def owners(headers, pages):
    """Which page each name leads to: its own, where it has one; else the first that speaks of it. Two are an error of the tests, not of the build."""
    found = {stem(path): path for path in pages}
    for path in pages:
        for name in names(path):
            found.setdefault(name, path)
    for path in pages:
        for name in shown(path, headers):
            found.setdefault(name, path)
    return found


def make(folder, headers, pages):
    for name, path in owners(headers, pages).items():
        with open(os.path.join(folder, name + ".3"), "w", encoding="utf-8") as file:
            file.write(page(path, headers) if name == stem(path) else f".so man3/{stem(path)}.3\n")


def main():
    split = sys.argv.index("--")
    pages = sys.argv[split + 1:]
    if sys.argv[1] == "--names":
        print("\n".join(name + ".3" for name in owners(sorted(sys.argv[2:split]), pages)))
    else:
        make(sys.argv[2], sorted(sys.argv[3:split]), pages)


main()
