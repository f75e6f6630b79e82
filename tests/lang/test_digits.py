"""Numbers of thousands of digits: for Python an error of its own, which nothing in the language may show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aish.lang.digits import saturated

if TYPE_CHECKING:
    from tests.lang.conftest import Aish

COMMANDS = r"""
[ $n -eq 7 ]
[[ $n -eq 7 || -v $n || -v a[$n] || -t $n ]]
[[ aaa =~ a{$n} ]]
echo $((n)) $(($n)) $((-n)) $((0$n)) $((16#$n)) || :
echo $(($n#1))
declare -i z=$n; let z=$n
shift $n
(exit $n)
f() { return $n; }; f
for i in 1 2; do break $n; done
for i in 1 2; do continue $n; done
printf '%d %u %x %f %e\n' $n $n $n $n $n
printf '%*d %.*f\n' 3 $n 3 $n
printf '%s%9'$n'd\n' a 1
printf '%(%Y)T' $n
kill -0 $n; kill -l $n; kill -s $n 1
wait $n; wait -n $n; wait %$n; jobs %$n; disown $n
umask $n; ulimit -c $n
read -n $n a <<< b; read -u $n a; read -t $n a <<< b
mapfile -n $n a <<< b; mapfile -O $n a <<< b; mapfile -s $n a <<< b; mapfile -u $n a
OPTIND=$n; getopts a b
caller $n; dirs +$n; popd -$n; history $n; fc -l $n
eval "echo ~$n ~-$n \${$n} \${!$n}"
echo "${n:$n:1}" "${@:$n}"
a=(1); a[$n]=2; a=([$n]=1); unset "a[$n]"
eval "echo {1..$n} {a..c..$n}"
eval "echo a >&$n"; eval ": $n>/dev/null"; eval "exec {v}>&$n"
BASH_XTRACEFD=$n; PROMPT_DIRTRIM=$n; x='\w'; echo "${x@P}"; TMOUT=$n; read z </dev/null; SECONDS=$n; RANDOM=$n
trap : $n
"""


@pytest.mark.parametrize("digits", ["$(printf %05000d 7)", "7$(printf %05000d 7)", "-7$(printf %05000d 7)"])
def test_long_numbers_are_numbers_or_refused(aish: Aish, digits: str) -> None:
    script = f'commands=$(cat); n={digits}; while IFS= read -r c; do (eval "$c") </dev/null; done <<< "$commands"'
    done = aish(f"{script}; echo end", input=COMMANDS.encode())
    assert done.out.endswith("end\n")
    assert "fault" not in done.err


def test_saturated() -> None:
    assert [saturated(text) for text in ("0", "0007", "0" * 99 + "12", str(1 << 63))] == [0, 7, 12, 1 << 63]
    assert [saturated("777", 8), saturated("f" * 16, 16)] == [0o777, (1 << 64) - 1]
    for base, digit in ((8, "1"), (10, "1"), (16, "f")):
        assert saturated(digit * 10_000, base) > 1 << 64


def test_long_numbers_in_arithmetic_are_those_of_64_bits(aish: Aish) -> None:
    """As C's multiplication by ten and addition, digit by digit, has it."""
    digits = "1234567890" * 50
    value = int(digits) & (1 << 64) - 1
    wanted = value - (1 << 64) * (value >> 63)
    assert aish(f"echo $(({digits}))").out == f"{wanted}\n"
