"""Seeded programs of bash's expansions: every kind of parameter with every operator, in and out of quotes.

Where bash contradicts itself nobody is asked: an empty IFS with operators on arrays, slices of associative arrays,
the length of a reference to an element, whether a list of one empty string is null.
"""

from __future__ import annotations

import random

_VALUES = [
    "''", "a", "'a b'", "'  a  b '", "a:b:c", "':a::b:'", "'*'", "'[ab]*'", "abcabc", "AbCdE", "/usr/lib.tar.gz",
    "'a\\b'", '"it\'s"', "0", "7", "-3", "'x y\tz'", "'$a'", "'a,b c,d'", "éàü", "'~/x'", "'a&b'", "$'n\\nl'",
]  # fmt: skip
_ONE = [
    "a", "b", "c", "x1", "arr", "arr[1]", "arr[-1]", "arr[i]", "arr[$i]", "map[k]", "map[x y]", "map[$key]",
    "sparse[7]", "sparse", "unset", "nul", "ref", "refa[1]", "!ptr", "!ptre", "!ptrp", "int", "low", "1", "2", "9",
]  # fmt: skip
_MANY = [
    "arr[@]", "arr[*]", "sparse[@]", "sparse[*]", "@", "*", "empty[@]", "empty[*]", "unset[@]", "two[@]", "two[*]",
    "refa[@]", "!ptra",
]  # fmt: skip
_PATTERNS = [
    "*",
    "?",
    "a",
    "b",
    ":",
    "[ab]",
    "[!a]",
    "/",
    "'*'",
    "\\*",
    "$a",
    '"$b"',
    ".",
    "[[:alpha:]]",
    " ",
    "é",
    "c*",
]
_HEAD = """p() { printf '<%s>' "$@"; echo; }
d() { declare -p "$@" 2>/dev/null; }
nul= key='x y' empty=() one=('') two=('' '') i=1 ptr=b ptra='arr[@]' ptre='map[k]' ptrp=2
declare -n ref=a refa=arr
declare -i int=5
declare -l low=ABC
"""


class Expansions:
    """Statements that print what an expansion gave, or what an assignment left."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def program(self) -> str:
        pick = self.random.choice
        values = "".join(f"{name}={pick(_VALUES)}\n" for name in ("a", "b", "c", "x1"))
        values += f"arr=({' '.join(self.random.choices(_VALUES, k=4))})\n"
        values += f"declare -A map=([k]={pick(_VALUES)} ['x y']={pick(_VALUES)} [n]=4)\n"
        values += (
            f"sparse=([2]={pick(_VALUES)} [7]=b [9]='c d')\nset -- {' '.join(self.random.choices(_VALUES, k=3))}\n"
        )
        return _HEAD + values + "".join(f"echo =={n}\n{self.statement()}\n" for n in range(40))

    def statement(self) -> str:
        words = " ".join(self.word() for _ in range(self.random.randrange(1, 4)))
        return self.random.choice(
            [
                f"p {words}",
                f"p {words}",
                f"p {words}",
                f'v={self.word()}; p "$v"; unset v',
                f"arr[{self.random.choice(['0', '2', 'i', 'i+1', '$i', '-1'])}]={self.word()}; d arr",
                f"arr+=({words}); d arr",
                f"map[{self.random.choice(['k', 'x y', '$key', 'new'])}]+={self.word()}; d map",
                f'set -- {words}; p $# "$@"',
                f'IFS={self.random.choice([":", ","])}; p $a ${{arr[@]}} "${{arr[*]}}" $* "$*"; IFS=$\' \\t\\n\'',
                f"case {self.word()} in {self.pattern().replace(' ', '_')}) p yes ;; *) p no ;; esac",
                f"a+={self.word()}; low={self.word()}; d a low",
            ]
        )

    def word(self) -> str:
        inner = self.expansion()
        return self.random.choice(
            [inner, inner, f'"{inner}"', f'"{inner}"', f"x{inner}", f"{inner}{self.expansion()}"]
        )

    def expansion(self, depth: int = 0) -> str:
        name = self.random.choice(_ONE if self.random.randrange(3) else _MANY)
        inner = self.default(depth)
        pattern, offset = self.pattern(), self.random.choice(["0", "1", "2", " -1", " -2", "i", "i+1", "$i", "20"])
        pick = self.random.choice
        forms = [
            f"${{{name}}}",
            f"${{{name}{pick(['-', ':-', '+', ':+'])}{inner}}}",
            f"${{{name}{pick(['#', '##', '%', '%%'])}{pattern}}}",
            f"${{{name}{pick(['/', '//', '/', '/#', '/%'])}{pattern}{self.replacement()}}}",
            f"${{{name}{pick(['^', '^^', ',', ',,', '~', '~~'])}{pick(['', '[a-c]', '?', '$a'])}}}",
            f"${{{name}:{offset}{pick(['', ':1', ':2', ':0'])}}}",
            f"${{{name}@{pick('QEUuL')}}}",
            pick(
                [
                    "${!arr[@]}",
                    "${!map[@]}",
                    "${!sparse[*]}",
                    "${!x*}",
                    "${#arr[@]}",
                    "${#a}",
                    "${#arr[1]}",
                    "${!ref}",
                ]
            ),
        ]
        return pick(forms)

    def default(self, depth: int) -> str:
        plain = ["w", "z z", "'q r'", '"s t"', "$a", '"$b"', "*", "\\*", "a\\ b", "~", "", "x:y", "$((i+1))"]
        if depth < 2 and not self.random.randrange(4):
            inner = self.expansion(depth + 1)
            return self.random.choice([inner, f'"{inner}"'])
        return self.random.choice(plain)

    def pattern(self) -> str:
        return "".join(self.random.choices(_PATTERNS, k=self.random.randrange(1, 4)))

    def replacement(self) -> str:
        return self.random.choice(["", "/", "/R", "/[&]", "/\\&", "/'&'", '/"&"', "/$a", '/"$b"', "/x y", "/\\/"])
