/* cooper completion bash|zsh|fish */
#include "cli/command.h"
#include "cli/complete.h"

#include <stdio.h>
#include <string.h>

/* What is typed goes to the program, which knows its options: see cli/complete.h. */

/* Words are put together again that bash took apart at ":" and "=" (COMP_WORDBREAKS), and
 * what stands before the last of these is left out of the replies, as bash expects. */
static const char bash[] =
    "# bash completion of cooper: source <(cooper completion bash)\n"
    "_cooper() {\n"
    "    local rest=${COMP_LINE:0:COMP_POINT} words=() lines=() word gap last current head "
    "i\n"
    "    for ((i = 0; i <= COMP_CWORD; i++)); do\n"
    "        gap=${rest%%[![:space:]]*}\n"
    "        rest=${rest#\"$gap\"}\n"
    "        word=${COMP_WORDS[i]}\n"
    "        ((i == COMP_CWORD)) && word=$rest\n"
    "        if ((i > 0)) && [[ -z $gap ]]; then words[-1]+=$word; else "
    "words+=(\"$word\"); fi\n"
    "        rest=${rest#\"$word\"}\n"
    "    done\n"
    "    COMPREPLY=()\n"
    "    current=${words[-1]}\n"
    "    mapfile -t lines < <(\"${words[0]/#\\~/$HOME}\" " CLI_COMPLETE_WORD
    " \"${words[@]:1}\" 2>/dev/null)\n"
    "    ((${#lines[@]})) || return 0\n"
    "    last=${lines[-1]}\n"
    "    unset 'lines[-1]'\n"
    "    for word in \"${lines[@]}\"; do COMPREPLY+=(\"${word%%$'\\t'*}\"); done\n"
    "    if [[ $last == ':files '* ]]; then\n"
    "        i=${last#:files }\n"
    "        while IFS= read -r word; do\n"
    "            COMPREPLY+=(\"${current:0:i}$word\")\n"
    "        done < <(compgen -f -- \"${current:i}\")\n"
    "        compopt -o filenames 2>/dev/null\n"
    "    elif [[ $last == :nospace ]]; then\n"
    "        compopt -o nospace 2>/dev/null\n"
    "    fi\n"
    "    head=\n"
    "    [[ $COMP_WORDBREAKS == *=* && $current == *=* ]] && "
    "head=${current%\"${current##*=}\"}\n"
    "    rest=${current#\"$head\"}\n"
    "    [[ $COMP_WORDBREAKS == *:* && $rest == *:* ]] && head+=${rest%\"${rest##*:}\"}\n"
    "    for i in \"${!COMPREPLY[@]}\"; do COMPREPLY[i]=${COMPREPLY[i]#\"$head\"}; done\n"
    "    return 0\n"
    "}\n"
    "complete -F _cooper cooper\n";

static const char zsh[] =
    "#compdef cooper\n"
    "# zsh completion of cooper: source <(cooper completion zsh)\n"
    "_cooper() {\n"
    "    local -a lines plain pairs options\n"
    "    local line last tab=$'\\t'\n"
    "    lines=(\"${(@f)$(\"${(Q)words[1]}\" " CLI_COMPLETE_WORD
    " \"${(@Q)words[2,CURRENT-1]}\" \"${(Q)PREFIX}\" 2>/dev/null)}\")\n"
    "    last=${lines[-1]}\n"
    "    lines[-1]=()\n"
    "    if [[ $last == ':files '* ]]; then\n"
    "        compadd -a lines\n"
    "        compset -p ${last#:files }\n"
    "        _files\n"
    "        return\n"
    "    fi\n"
    "    [[ $last == :nospace ]] && options=(-S '')\n"
    "    for line in $lines; do\n"
    "        plain+=(\"${line%%$tab*}\")\n"
    "        pairs+=(\"${line%%$tab*}${${(M)line:#*$tab*}:+  -- ${line#*$tab}}\")\n"
    "    done\n"
    "    compadd $options -l -d pairs -a plain\n"
    "}\n"
    "if [[ $funcstack[1] == _cooper ]]; then _cooper \"$@\"; else compdef _cooper cooper; "
    "fi\n";

static const char fish[] =
    "# fish completion of cooper: cooper completion fish | source\n"
    "function __cooper_complete\n"
    "    set -l before (commandline -opc)\n"
    "    set -l current (commandline -ct)\n"
    "    set -l lines ($before[1] " CLI_COMPLETE_WORD
    " $before[2..-1] \"$current\" 2>/dev/null)\n"
    "    test (count $lines) -gt 0; or return\n"
    "    test (count $lines) -gt 1; and printf '%s\\n' $lines[1..-2]\n"
    "    if string match -q ':files *' -- $lines[-1]\n"
    "        set -l size (string replace ':files ' '' -- $lines[-1])\n"
    "        set -l head (string sub -l $size -- \"$current\")\n"
    "        for path in (__fish_complete_path (string sub -s (math $size + 1) -- "
    "\"$current\"))\n"
    "            printf '%s\\n' \"$head$path\"\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c cooper -f -a '(__cooper_complete)'\n";

static int completion_run(struct cli_session *session,
                          const void *options,
                          const struct cli_texts *arguments,
                          struct error *err)
{
    static const struct {
        const char *shell;
        const char *script;
    } scripts[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

    (void)session;
    (void)options;
    for (size_t i = 0; i < ARRAY_COUNT(scripts); i++)
        if (strcmp(arguments->items[0], scripts[i].shell) == 0) {
            fputs(scripts[i].script, stdout);
            return 0;
        }
    return error_set(err, ERROR_USAGE,
                     "there is a completion for bash, zsh and fish, not for '%s'",
                     arguments->items[0]);
}

const struct cli_command cli_command_completion = {
    .name = "completion",
    .usage = "bash|zsh|fish",
    .summary = "Print the completion script of a shell",
    .details = "For a session: source <(cooper completion bash), source <(cooper "
               "completion zsh),\n"
               "cooper completion fish | source. 'cmake --install' puts them where the "
               "shells look.",
    .argument_min = 1,
    .argument_max = 1,
    .run = completion_run,
};
