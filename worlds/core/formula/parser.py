"""From tokens to a tree, by recursive descent.

formula    = sum [ ("<" | "<=" | ">" | ">=") sum ]
sum        = product { ("+" | "-") product }
product    = unary { ("*" | "/") unary }
unary      = { "-" | "+" } atom
atom       = NUMBER | NAME | NAME "(" formula { "," formula } ")" | "(" formula ")"
"""

from dataclasses import dataclass
from typing import NoReturn

from worlds.core.formula.functions import FUNCTIONS
from worlds.core.formula.tokens import Token, tokenize
from worlds.core.formula.tree import Add, Call, Compare, Mul, Name, Node, Number, Span
from worlds.errors import FormulaError

MAX_DEPTH = 40
"""Deepest nesting of parentheses and functions."""
MAX_NODES = 20_000
"""Most numbers, names and operations in one formula."""
COMPARISONS = ("<", "<=", ">", ">=")


def parse(source: str) -> Node:
    """Read a formula.

    Raises
    ------
    FormulaError
        With the place, what is wrong and what would be right.
    """
    if not isinstance(source, str):
        msg = f"a formula is a text such as 'sum(likes_per_post, posts) * 0.02'; got {source!r}"
        raise FormulaError(msg, "", (0, 1))
    parser = _Parser(source, tokenize(source))
    if len(parser.tokens) == 1:
        raise FormulaError("the formula is empty; write for example 'posts * 2'", source, (0, 1))
    tree = parser.formula()
    if parser.peek.kind != "end":
        parser.fail(_after(parser.peek))
    return tree


def _after(token: Token) -> str:
    if token.text == ")":
        return "this ')' closes nothing; remove it or add its '('"
    if token.text in COMPARISONS:
        return "comparisons do not chain; write (a < b) * (b < c) for both"
    if token.text in {"and", "or"}:
        joined = "multiply comparisons, (a > 1) * (b > 2)"
        return f"{token.text!r} is not part of formulas; {joined}, or use max(...) for either"
    return f"expected an operator such as + or * before {token.text!r}"


@dataclass
class _Parser:
    source: str
    tokens: list[Token]
    place: int = 0
    nodes: int = 0
    depth: int = 0

    @property
    def peek(self) -> Token:
        return self.tokens[self.place]

    def take(self) -> Token:
        token = self.peek
        self.place += 1
        return token

    def fail(self, reason: str, span: Span | None = None) -> NoReturn:
        raise FormulaError(reason, self.source, span or self.peek.span)

    def made[N: Node](self, node: N) -> N:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.fail(f"the formula has more than {MAX_NODES:,} parts; split it", node.span)
        return node

    def formula(self) -> Node:
        left = self.sum()
        if self.peek.text not in COMPARISONS:
            return left
        sign = self.take().text
        right = self.sum()
        return self.made(Compare(sign, left, right, (left.span[0], right.span[1])))

    def sum(self) -> Node:
        terms = [(1, self.product())]
        while self.peek.text in {"+", "-"}:
            sign = 1 if self.take().text == "+" else -1
            terms.append((sign, self.product()))
        if len(terms) == 1:
            return terms[0][1]
        return self.made(Add(tuple(terms), (terms[0][1].span[0], terms[-1][1].span[1])))

    def product(self) -> Node:
        factors = [(1, self.unary())]
        while self.peek.text in {"*", "/"}:
            power = 1 if self.take().text == "*" else -1
            factors.append((power, self.unary()))
        if len(factors) == 1:
            return factors[0][1]
        return self.made(Mul(tuple(factors), (factors[0][1].span[0], factors[-1][1].span[1])))

    def unary(self) -> Node:
        sign, start = 1, self.peek.span[0]
        while self.peek.text in {"-", "+"}:
            sign = -sign if self.take().text == "-" else sign
        atom = self.atom()
        if sign == 1:
            return atom
        span = (start, atom.span[1])
        if isinstance(atom, Number):
            return Number(-atom.value, span)
        return self.made(Add(((-1, atom),), span))

    def atom(self) -> Node:
        token = self.peek
        if token.kind == "number":
            self.take()
            return self.made(Number(token.value, token.span))
        if token.kind == "name":
            self.take()
            if self.peek.text == "(":
                return self.call(token)
            if token.text in FUNCTIONS:
                how = FUNCTIONS[token.text].usage
                self.fail(f"{token.text!r} is a function: write {how}", token.span)
            return self.made(Name(token.text, token.span))
        if token.text != "(":
            self.fail(self._missing(token))
        return self.inside(called=False)[0]

    def _missing(self, token: Token) -> str:
        wanted = "a number, a name or '(' is expected here"
        return f"the formula ends too early: {wanted}" if token.kind == "end" else wanted

    def inside(self, *, called: bool) -> list[Node]:
        """Read ``( formula , ... )``."""
        opening = self.take().span
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"nested more than {MAX_DEPTH} deep; give parts a name", opening)
        if self.peek.text == ")":
            self.fail("nothing between the parentheses; a number or a name is expected")
        parts = [self.formula()]
        while self.peek.text == "," and called:
            self.take()
            parts.append(self.formula())
        if self.peek.text != ")":
            self._not_closed(opening)
        self.depth -= 1
        self.take()
        return parts

    def _not_closed(self, opening: Span) -> NoReturn:
        token = self.peek
        if token.kind == "end":
            self.fail("this '(' is never closed; add its ')'", opening)
        if token.text == ",":
            self.fail("a list in parentheses belongs to a function, such as max(a, b)")
        if token.text in COMPARISONS or token.text in {"and", "or"}:
            self.fail(_after(token))
        self.fail(f"expected ')' or an operator, not {token.text!r}")

    def call(self, name: Token) -> Call:
        if name.text not in FUNCTIONS:
            known = ", ".join(sorted(FUNCTIONS))
            self.fail(f"there is no function {name.text!r}; there are {known}", name.span)
        function = FUNCTIONS[name.text]
        args = self.inside(called=True)
        span = (name.span[0], self.tokens[self.place - 1].span[1])
        if not function.least <= len(args) <= function.most:
            self.fail(f"{name.text} is written {function.usage}; here it has {len(args)}", span)
        return self.made(Call(name.text, tuple(args), span))
