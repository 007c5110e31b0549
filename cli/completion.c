/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints the bash completion of all commands, from their tables. Runs when the tree is built; not
 * installed. */
#include <string.h>

#include "commands.h"

static void print_option_names(const struct option_spec *options)
{
    for (; options->name; options++) {
        printf(" --%s%s", options->name, options->value ? "=" : "");
        if (options->letter)
            printf(" -%c", options->letter);
    }
}

static void print_words(const struct option_spec *o)
{
    printf("COMPREPLY=($(compgen -W '");
    for (int i = 0; o->words[i]; i++)
        printf("%s%s", i ? " " : "", o->words[i]);
    printf("' -- \"$cur\"))");
}

static void print_action(const struct option_spec *o)
{
    static const char *const actions[] = {
        [OPTION_WORD] = ":",
        [OPTION_PATH] = "COMPREPLY=($(compgen -f -- \"$cur\"))",
        [OPTION_PATH_DIR] = "COMPREPLY=($(compgen -d -- \"$cur\"))",
        [OPTION_USER] = "COMPREPLY=($(compgen -u -- \"$cur\"))",
        [OPTION_GROUP] = "COMPREPLY=($(compgen -g -- \"$cur\"))",
        [OPTION_SIGNAL] =
            "COMPREPLY=($(compgen -W 'TERM INT QUIT HUP USR1 USR2 WINCH' -- \"$cur\"))",
    };

    if (o->words)
        print_words(o);
    else
        printf("%s", actions[o->kind]);
}

static void print_function_name(const struct command *c)
{
    printf("_aiotools_sd_%s%s%s_value", c->parent ? c->parent : "", c->parent ? "_" : "", c->name);
}

/*
 * A shell function that completes the value of an option; it returns false if the option takes
 * none.
 */
static void print_values(const struct command *c)
{
    print_function_name(c);
    printf("()\n{\n    case $1 in\n");
    for (const struct option_spec *o = c->options; o->name; o++) {
        if (!o->value)
            continue;
        printf("        --%s", o->name);
        if (o->letter)
            printf(" | -%c", o->letter);
        printf(") ");
        print_action(o);
        printf(" ;;\n");
    }
    printf("        *) return 1 ;;\n    esac\n}\n\n");
}

/* The completions for words; empty: a program and its arguments. */
static void print_case(const struct command *c)
{
    printf("        %s%s%s) opts='", c->parent ? c->parent : "", c->parent ? "_" : "", c->name);
    print_option_names(c->options);
    printf("'");
    if (c->offers)
        printf(" offers=\"%s\"", c->offers);
    printf(" ;;\n");
}

/* Behind a command that has commands of its own: their names, then it is one of them. */
static void print_sub_command_case(const struct command *c)
{
    printf("        %s)\n"
           "            if ((COMP_CWORD == 2)); then\n"
           "                COMPREPLY=($(compgen -W '",
           c->name);
    for (const struct command *const *sub = c->commands; *sub; sub++)
        printf("%s ", (*sub)->name);
    print_option_names(c->options);
    printf("' -- \"$cur\"))\n"
           "                return\n"
           "            fi\n"
           "            command+=_${COMP_WORDS[2]} i=3 ;;\n");
}

static void print_command_cases(void)
{
    printf("    case $command in\n");
    for (const struct command *const *c = commands; *c; c++)
        if ((*c)->commands)
            print_sub_command_case(*c);
    printf("    esac\n"
           "    case $command in\n");
    for (const struct command *const *c = commands; *c; c++) {
        if (!(*c)->commands)
            print_case(*c);
        for (const struct command *const *sub = (*c)->commands; sub && *sub; sub++)
            print_case(*sub);
    }
}

static void print_main(void)
{
    printf("_aiotools_sd()\n"
           "{\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev= opts= offers= i=2 word "
           "command=${COMP_WORDS[1]}\n"
           "    COMPREPLY=()\n"
           "    if ((COMP_CWORD == 1)); then\n"
           "        COMPREPLY=($(compgen -W '");
    for (const struct command *const *c = commands; *c; c++)
        printf("%s ", (*c)->name);
    print_option_names(global_options);
    printf("' -- \"$cur\"))\n"
           "        return\n"
           "    fi\n");
    print_command_cases();
    printf("        *) return ;;\n"
           "    esac\n"
           "    # bash makes three words of --option=value\n"
           "    while ((i < COMP_CWORD)); do\n"
           "        word=${COMP_WORDS[i]}\n"
           "        if [[ $word == [=:] ]]; then\n"
           "            ((i += 2))\n"
           "        elif [[ $offers && $word != -* ]]; then\n"
           "            ((i += 1))\n"
           "        elif [[ $word == -- || $word != -* ]]; then\n"
           "            # the program, then its arguments\n"
           "            [[ $word == -- ]] && ((++i))\n"
           "            if ((i == COMP_CWORD)); then\n"
           "                COMPREPLY=($(compgen -c -- \"$cur\"))\n"
           "            else\n"
           "                COMPREPLY=($(compgen -f -- \"$cur\"))\n"
           "            fi\n"
           "            return\n"
           "        elif [[ $opts' ' == *\" $word= \"* && ${COMP_WORDS[i + 1]} != = ]] || [[ $word "
           "== -[a-z] ]]; then\n"
           "            ((i += 2))\n"
           "        else\n"
           "            ((i += 1))\n"
           "        fi\n"
           "    done\n"
           "    prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
           "    if [[ $cur == = ]]; then\n"
           "        cur=\n"
           "    elif [[ $prev == = ]]; then\n"
           "        prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
           "    fi\n"
           "    \"_aiotools_sd_${command}_value\" \"$prev\" && return\n"
           "    if [[ $cur == -* ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\"))\n"
           "        [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace\n"
           "    elif [[ $offers ]]; then\n"
           "        eval \"COMPREPLY=(\\$(compgen $offers -- \\\"\\$cur\\\"))\"\n"
           "    else\n"
           "        COMPREPLY=($(compgen -c -- \"$cur\"))\n"
           "    fi\n"
           "}\n"
           "complete -o default -F _aiotools_sd aiotools-sd\n");
}

int main(void)
{
    printf("# bash completion for aiotools-sd, made from its tables of options\n\n");
    for (const struct command *const *c = commands; *c; c++) {
        print_values(*c);
        for (const struct command *const *sub = (*c)->commands; sub && *sub; sub++)
            print_values(*sub);
    }
    print_main();
    return fflush(stdout) == 0 ? 0 : 1;
}
