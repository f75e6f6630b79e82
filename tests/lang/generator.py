"""Seeded programs that print what they do: words in every combination of quoting and expansion, and control flow
under `set -e`. They keep to what dash and bash both have; where the two disagree, nobody is asked."""

from __future__ import annotations

import random

_VALUES = [
    "''", "a", "'a b'", "'  a  b '", "a:b:c", "':a::b:'", "'*'", "'[ab]*'", "'a*b?c'", "abcabc", "/usr/lib.tar.gz",
    "'a\\b'", '"it\'s"', "0", "7", "-3", "'x y\tz'", "'$a'", "'\\\\'", "'a,b c,d'",
]  # fmt: skip
_NAMES = "abcde"


class Words:
    """Statements made of expansions."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def program(self) -> str:
        head = 'p() { printf \'<%s>\' "$@"; echo; }\nf() { p f "$#" "$1"; local a=loc; p "$@"; return 3; }\nn=2 m=5\n'
        values = "".join(f"{name}={self.random.choice(_VALUES)}\n" for name in _NAMES)
        return head + values + "".join(f"{self.statement()}\necho =={i} $?\n" for i in range(20))

    def word(self, depth: int = 0) -> str:
        pick = self.random.choice
        name = pick(_NAMES)
        inner = self.word(depth + 1) if depth < 3 else "z"
        return pick(
            [
                lambda: pick(["x", "yz", "-", "a.b", "/p/q"]),
                lambda: pick(["'q r'", "'$a'", "'*'", "'\\'"]),
                lambda: f'"{self.quoted()}"',
                lambda: f"${name}",
                lambda: f'"${name}"',
                lambda: f"${{{name}{pick(['-', ':-', '+', ':+'])}{inner}}}",
                lambda: f"${{{name}{pick(['#', '##', '%', '%%'])}{self.pattern()}}}",
                lambda: f'"${{{name}{pick(["#", "##", "%", "%%"])}{self.pattern()}}}"',
                lambda: f"${{#{name}}}",
                lambda: f"$(p {inner})",
                lambda: f"$(({self.arithmetic()}))",
                lambda: pick(['"$@"', "$@", '"$*"', "$#", '"a$@b"', "$1", '"$2"', "${3-none}"]),
                lambda: inner + inner,
                lambda: "\\" + pick("*$'\"\\ a?"),
                lambda: "`echo " + pick(["bq", "$a", "\\$b", '"x  y"']) + "`",
            ]
        )()

    def quoted(self) -> str:
        pieces = [
            " ",
            "a",
            "*",
            "\\$",
            "\\\\",
            '\\"',
            "\\a",
            "$a",
            "${b}",
            "${c:-d e}",
            "$(echo in)",
            "$((1+2))",
            "~",
        ]
        return "".join(self.random.choices(pieces, k=self.random.randrange(4)))

    def pattern(self) -> str:
        pieces = ["*", "?", "a", "b", ":", "[ab]", "[!a]", "/", "'*'", "\\*", "$a", '"$b"', ".", "[[:alpha:]]"]
        return "".join(self.random.choices(pieces, k=self.random.randrange(1, 4)))

    def arithmetic(self, depth: int = 0) -> str:
        if depth > 2 or self.random.randrange(3) == 0:
            return self.random.choice(["1", "2", "7", "10", "0x1f", "n", "m", "$n", "(m+1)", "-3", "~n", "!m"])
        op = self.random.choice(
            ["+", "-", "*", "<", "<=", ">", ">=", "==", "!=", "&", "|", "^", "&&", "||", "/", "%"]
        )
        left, right = self.arithmetic(depth + 1), self.arithmetic(depth + 1)
        right = f"(({right})|1)" if op in "/%" else right
        return f"({left} {op} {right})"

    def statement(self, depth: int = 0) -> str:
        pick = self.random.choice
        words = " ".join(self.word() for _ in range(self.random.randrange(1, 4)))
        nested = self.statement(depth + 1) if depth < 3 else "p end"
        return pick(
            [
                lambda: f"p {words}",
                lambda: f"p {words}",
                lambda: f"{pick(_NAMES)}={self.word()}",
                lambda: f"unset {pick(_NAMES)}",
                lambda: f"set -- {words}",
                lambda: f"IFS={pick([':', ',', chr(39) * 2, chr(39) + ' :' + chr(39)])}; p $a $b; IFS=' '",
                lambda: f'for i in {words}; do p "$i"; {nested}\ndone',
                lambda: f"case {self.word()} in {self.pattern()}) p 1;; {self.pattern()}) p 2;; *) p 3;; esac",
                lambda: f'if [ "$a" = "$b" ]; then {nested}\nelse {nested}\nfi',
                lambda: f"( {nested}\n)",
                lambda: f"f {words}",
                lambda: f"cat <<E\n{self.quoted()}\nE",
                lambda: 'IFS=: read a b <<E\nx:y z\nE\np "$a" "$b"',
            ]
        )()


class Flow:
    """Lists, loops and functions whose commands fail now and then."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = 0

    def program(self) -> str:
        head = "s() { return $1; }\n" + self.random.choice(["", "set -e\n", "set -e\n"])
        return head + "".join(f"{self.command()}\necho == $?\n" for _ in range(6))

    def simple(self) -> str:
        return self.random.choice(["true", "false", "s 2", "echo p", "(false)", "{ false; true; }", "cat /dev/null"])

    def stage(self) -> str:
        """A part of a pipeline."""
        return self.simple()

    def command(self, depth: int = 0, loop: int = 0, function: bool = False) -> str:
        self.count += 1
        number = self.count
        pick = self.random.choice
        if depth > 4 or self.random.randrange(4) == 0:
            return pick([f"echo t{number}", "true", "false", "(exit 3)", "s 2", f"x=$(s 1; echo o{number})"])

        def inner(loops: int = loop, in_function: bool = function) -> str:
            return self.command(depth + 1, loops, in_function)

        return pick(
            [
                lambda: f"{inner()} && {inner()}",
                lambda: f"{inner()} || {inner()}",
                lambda: f"! {self.simple()}",
                lambda: f"{{ {inner()}; {inner()}; }}",
                lambda: f"( {inner(0)}; {inner(0)} )",
                lambda: f"if {inner()}; then {inner()}; else {inner()}; fi",
                lambda: (
                    f"i{depth}=0; while [ $i{depth} -lt 2 ]; do i{depth}=$((i{depth}+1)); {inner(loop + 1)}; done"
                ),
                lambda: f"for j in 1 2; do {inner(loop + 1)}; echo j$j; done",
                lambda: f"case {pick('ab')} in a) {inner()};; b) {inner()};; esac",
                lambda: f"{self.stage()} | {self.stage()}",
                lambda: pick(["break", "continue", "break 2", "continue 2"]) if loop else "true",
                lambda: pick(["return", "return 2"]) if function else "false",
                lambda: f"g{number}() {{ {inner(0, True)}; {inner(0, True)}; }}; g{number}",
                lambda: f"eval '{pick(['true', 'false', 's 2; echo ev', 'echo e && false'])}'",
                lambda: f'y=$( {inner(0)}; echo z ); echo "y$y"',
                lambda: "trap 'echo tr$?' EXIT" if depth < 1 else "true",
            ]
        )()


class Files(Flow):
    """Programs that write: redirections of any command, descriptors, folders, links, what is not overwritten."""

    def program(self) -> str:
        statements = [f"{self.command()}\necho == $?\n{self.document()}" for _ in range(6)]
        return "s() { return $1; }\numask 022\n" + "".join(statements)

    def document(self) -> str:
        """Its end needs a line of its own."""
        end = self.random.choice(["E", "'E'", "-E"])
        return f"cat <<{end} >>{self.file()} && echo doc\n\tv $x $(echo q) \\$x\nE\n"

    def file(self) -> str:
        return self.random.choice(["f1", "f2", "f3", "d/f4", "d/e/f5", '"a b"', '"$x"'])

    def simple(self) -> str:
        self.count += 1
        file, other, text = self.file(), self.file(), f"w{self.count}"
        return self.random.choice(
            [
                f"echo {text} >{file}",
                f"echo {text} >>{file}",
                f"echo {text} >|{file}",
                f"echo {text} 3>{file} >&3",
                f"{{ echo {text}; echo b{text} >>{other}; }} >{file}",
                f"( umask 0{self.random.choice(['27', '77', '0'])}; : >>n{self.count} )",
                f"x={self.random.choice(['g1', 'd/g2', 'd/e', ''])}",
                f"mkdir d 2>/dev/null; mkdir -p d/e && echo {text} >d/e/{text}",
                f"rm -f {file}",
                f"ln -s {other} l{self.count}",
                f"command exec 4>>{file} && echo {text} >&4; command exec 4>&-",
                "set -C",
                "set +C",
                f'while read -r l; do echo "[$l]"; done <{file}',
                f'for n in * d/*; do echo "$n"; done >list{self.count % 2}',
                f"cat {file} {other} 2>/dev/null | sed s/w/W/ >all",
                f"echo {text} | tee -a {file} >/dev/null",
                f"[ -s {file} ] && [ ! -L {other} ]",
            ]
        )

    def stage(self) -> str:
        """Two at the same time must not meet in a file."""
        return Flow.simple(self)

    def command(self, depth: int = 0, loop: int = 0, function: bool = False) -> str:
        if depth > 1 or self.random.randrange(2):
            return self.simple()
        return super().command(depth, loop, function)


class Bash(Flow):
    """The same with the commands and words of bash; only bash is asked."""

    def program(self) -> str:
        head = "s() { return $1; }\nn=3 x=abc\ntrap 'echo bye $?' EXIT\n"
        head += self.random.choice(
            ["", "set -e\n", "set -o pipefail\n", "set -eo pipefail\n", "set -u\n", "set -E\n"]
        )
        head += self.random.choice(["", "", "trap 'echo err $?' ERR\n"])
        return head + "".join(f"{self.command()}\necho == $? ${{PIPESTATUS[@]}}\n" for _ in range(6))

    def arithmetic(self) -> str:
        pick = self.random.choice
        return pick(
            ["1", "0", "n > 2", "n++", "n--", "x", "(n = 1)", "n % 2", "!n", "n == 3 ? 0 : 1", "1, 0", "n += 2"]
        )

    def condition(self, depth: int = 0) -> str:
        pick = self.random.choice
        if depth < 2 and self.random.randrange(3) == 0:
            left, right = self.condition(depth + 1), self.condition(depth + 1)
            return pick([f"{left} && {right}", f"{left} || {right}", f"! {left}", f"( {left} || {right} )"])
        return pick(
            ["$x == a*", "$x == 'a*'", "$x != abc", "$x =~ ^a(b|x)c$", "-n $x", "-z $y", "$n -gt 2", "n -eq 3",
             "$x < b", "-d /", "$x", "-v n", "$x = ?b?", "$x =~ b+", "${x:1} == bc", "-o errexit"]
        )  # fmt: skip

    def words(self) -> str:
        pick = self.random.choice
        return " ".join(
            pick(
                [
                    "{a,b}",
                    "{1..3}",
                    "x{,y}",
                    "'{a,b}'",
                    "$x{1,2}",
                    "$(echo c d)",
                    '"$(echo c  d)"',
                    "*none",
                    "{a..c..2}",
                ]
            )
            for _ in range(self.random.randrange(1, 3))
        )

    def command(self, depth: int = 0, loop: int = 0, function: bool = False) -> str:
        if depth > 4 or self.random.randrange(3) == 0:
            return super().command(depth, loop, function)
        self.count += 1
        number = self.count
        pick = self.random.choice

        def inner(loops: int = loop, in_function: bool = function) -> str:
            return self.command(depth + 1, loops, in_function)

        return pick(
            [
                lambda: f"(({self.arithmetic()}))",
                lambda: f"(({self.arithmetic()})) && {inner()}",
                lambda: f"let '{self.arithmetic()}' || {inner()}",
                lambda: f"[[ {self.condition()} ]]",
                lambda: (
                    f"if [[ {self.condition()} ]]; then {inner()}; elif (({self.arithmetic()})); then {inner()}; fi"
                ),
                lambda: f"for ((i{depth}=0; i{depth}<2; i{depth}++)); do {inner(loop + 1)}; echo i$i{depth}; done",
                lambda: f"for j in {self.words()}; {{ {inner(loop + 1)}; echo j$j; }}",
                lambda: f"while ((k{number}++ < 2)); do {inner(loop + 1)}; done",
                lambda: f"case $x in a*) {inner()};;& *b*) {inner()};& z) {inner()};; *) echo no;; esac",
                lambda: f"echo {self.words()}",
                lambda: f"{{ cat <<E{number}\n$x $((n)) $( {self.simple()}; echo s)\nE{number}\n}}",
                lambda: f"cat < <({inner(0)})",
                lambda: f'while read -r l; do echo "<$l>"; done < <(echo a; {self.simple()}; echo b)',
                lambda: f'read -r v <<< "$x {number}"; echo $v',
                lambda: f"{{ {inner()}; }} 2>/dev/null",
                lambda: f"{{ {inner(0)}\n}} | cat",
                lambda: f"{{ {inner(0)}\n}} |& cat",
                lambda: f"! (({self.arithmetic()}))",
                lambda: f"function h{number} {{ {inner(0, True)}; }}; h{number}",
                lambda: f"h{number}() [[ {self.condition()} ]]; h{number}",
                lambda: f"{{ time {self.simple()}; }} 2>/dev/null",
                lambda: f"{self.simple()} &> /dev/null",
                lambda: f"a=({self.words()}); echo ${{#a[@]}} ${{a[@]}}",
                lambda: f"eval 'echo {number}; (({pick(['0', '1', 'n'])}))'",
                lambda: "exec {fd}>/dev/null; echo x >&$fd; exec {fd}>&-",
            ]
        )()
