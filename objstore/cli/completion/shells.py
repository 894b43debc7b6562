"""The shells' side of completion: a script for each, and how it is answered.

Of click's own: its scripts hand over words, and bash breaks these at a colon, so that
``photos:ca`` would be three; and they put a space behind everything, folders too.
"""

from __future__ import annotations

import os
import re

from click import ClickException
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    split_arg_string,
)

from objstore.cli.completion.words import files

__all__ = ["SHELLS", "register"]

_BASH = """\
%(complete_func)s() {
    mapfile -t COMPREPLY < <(
        COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2> /dev/null
    )
    [[ -z ${COMPREPLY[0]} ]] && COMPREPLY=()
    # A folder or a bucket goes on: no space.
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/:] ]] && compopt -o nospace
    return 0
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local each value
    local -a whole whole_shown begun begun_shown
    for each in "${(@f)$(
        COMP_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" \\
        %(complete_var)s=zsh_complete %(prog_name)s 2> /dev/null
    )}"; do
        [[ -z $each ]] && continue
        value="${each%%%%$'\\t'*}"
        if [[ $value == *[/:] ]]; then
            begun+=("$value") begun_shown+=("${each/$'\\t'/  -- }")
        else
            whole+=("$value") whole_shown+=("${each/$'\\t'/  -- }")
        fi
    done
    # A folder or a bucket goes on: no space (-S '').
    (( $#begun )) && compadd -S '' -d begun_shown -- "${begun[@]}"
    (( $#whole )) && compadd -d whole_shown -- "${whole[@]}"
}
compdef %(complete_func)s %(prog_name)s
"""

_FISH = """\
function %(complete_func)s
    COMP_LINE=(commandline -cp) %(complete_var)s=fish_complete %(prog_name)s 2> /dev/null
end
complete --no-files --keep-order --command %(prog_name)s --arguments "(%(complete_func)s)"
"""

#: What bash takes for more than itself in a word.
_SPECIAL = re.compile(r"""([\s\\'"`$&|;<>()*?\[\]{}!#~])""")


class _Shell(ShellComplete):
    """A shell that hands over the line as far as it was typed."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Split the line into its words and the one that was begun."""
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)[1:]
        begun = words.pop() if words and not line[-1:].isspace() else ""
        return words, begun

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Find what is offered; nothing, where the line makes no sense so far."""
        try:
            found = super().get_completions(args, incomplete)
        except ClickException:
            return []
        # click leaves files to its scripts, which ours are not.
        if any(item.type in ("file", "dir") for item in found):
            return [CompletionItem(path) for path in files(incomplete)]
        return found

    def format_completion(self, item: CompletionItem) -> str:
        """Write an offer: the word, and what it is."""
        return f"{item.value}\t{item.help}" if item.help else str(item.value)


class _Bash(_Shell):
    name = "bash"
    source_template = _BASH

    def format_completion(self, item: CompletionItem) -> str:
        """Write what is to stand in place of what bash takes for the word."""
        line = os.environ.get("COMP_LINE", "")
        if _is_quoted(line):
            return str(item.value)  # it closes the quotes itself
        value = _SPECIAL.sub(r"\\\1", item.value)
        _, begun = self.get_completion_args()
        if ":" in os.environ.get("COMP_BREAKS", "") and ":" in begun:
            # Its word begins behind the last colon that was typed.
            colons = begun.count(":")
            value = ":".join(value.split(":")[colons:])
        return value


def _is_quoted(line: str) -> bool:
    """Tell whether a line ends within quotes."""
    quote = ""
    escaped = False
    for character in line:
        if escaped:
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
    return bool(quote)


class _Zsh(_Shell):
    name = "zsh"
    source_template = _ZSH


class _Fish(_Shell):
    name = "fish"
    source_template = _FISH


SHELLS: dict[str, type[ShellComplete]] = {shell.name: shell for shell in (_Bash, _Zsh, _Fish)}


def register() -> None:
    """Let click answer these shells, in place of its own."""
    for shell in SHELLS.values():
        add_completion_class(shell)
