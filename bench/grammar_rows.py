"""Rows of context-free grammars for maskbench: `python3 bench/grammar_rows.py > grammars.jsonl`.

Each row is one grammar in GBNF with texts that are in it and one that is not: JSON with its blanks and without, nested
arithmetic, a small imperative language, queries, tables of values, lists in two scripts, moves of chess. The rows hold
no token ids: maskbench and masks_vs_peers spell the texts with the longest tokens.
"""

from __future__ import annotations

import json

JSON = r"""
root ::= blank value
value ::= object | array | string | number | ("true" | "false" | "null") blank
object ::= "{" blank (member ("," blank member)*)? "}" blank
member ::= string ":" blank value
array ::= "[" blank (value ("," blank value)*)? "]" blank
string ::= "\"" ([^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" blank
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)? blank
"""

ROWS: list[tuple[str, str, list[str], str]] = [
    (
        "json",
        JSON + r'blank ::= ("" | " " | "\n" [ \t]{0,20})',
        [
            '{"name": "Ada Lovelace", "born": 1815, "wrote": ["Note G", "a letter"], "alive": false}',
            '{\n  "id": 7,\n  "tags": [\n    "new",\n    "caf\u00e9 \\n"\n  ],\n  "at": {"x": -1.5e3, "y": null}\n}',
        ],
        '{"name": "Ada",}',
    ),
    (
        "json without blanks",
        JSON + 'blank ::= ""',
        ['{"orders":[{"sku":"A-17","n":3},{"sku":"B-2","n":12}],"total":104.5}', '[[],{},[{"a":[1,2,[3]]}],"end"]'],
        '{"orders":[}',
    ),
    (
        "arithmetic",
        r"""
root ::= (name " = " sum "\n")+
sum ::= sum [-+] product | product
product ::= product [*/] power | power
power ::= factor "^" power | factor
factor ::= "-" factor | "(" sum ")" | number | name ("(" sum ("," sum)* ")")?
name ::= [a-z] [a-z0-9_]{0,15}
number ::= [0-9]+ ("." [0-9]+)?
""",
        ["area = 3.14159*radius^2\nhalf = (area-min(area,10))/2\n", "x1 = -(((1+2)*(3+4))/5)^2^n\n"],
        "area = 3*\n",
    ),
    (
        "imperative",
        r"""
root ::= (function "\n")+
function ::= "fn " name "(" (name (", " name)*)? ") " block
block ::= "{\n" (" "* statement "\n")* " "* "}"
statement ::= "let " name " = " value ";" | "return" (" " value)? ";" | call ";"
  | "if " value " " block (" else " block)? | "while " value " " block
value ::= value (" + " | " - " | " < " | " == ") term | term
term ::= name | [0-9]+ | text | call | "(" value ")"
call ::= name "(" (value (", " value)*)? ")"
text ::= "'" [^'\n]* "'"
name ::= [a-zA-Z_] [a-zA-Z0-9_]*
""",
        [
            "fn sum(n, step) {\n  let total = 0;\n  while n < 10 {\n    let n = n + step;\n    print('so far', total);"
            "\n  }\n  return total;\n}\n",
            "fn main() {\n  if ready() == 1 {\n    return sum(1, 2);\n  } else {\n    fail('not yet');\n  }\n}\n",
        ],
        "fn main() {\n  let = 3;\n}\n",
    ),
    (
        "queries",
        r"""
root ::= "SELECT " ("*" | column (", " column)*) " FROM " name (" JOIN " name " ON " test)*
  (" WHERE " test)? (" ORDER BY " column (" DESC")?)? (" LIMIT " [0-9]+)? ";"
column ::= ((name ".")? name | ("COUNT" | "SUM" | "MAX") "(" column ")") (" AS " name)?
test ::= test (" AND " | " OR ") test | "NOT " test | "(" test ")"
  | column (" = " | " < " | " > " | " LIKE ") constant
constant ::= "'" [^']* "'" | [0-9]+ | column
name ::= [a-z_]+
""",
        [
            "SELECT name, COUNT(orders.id) AS n FROM people JOIN orders ON orders.person = people.id "
            "WHERE age > 30 AND city LIKE 'Par%' ORDER BY n DESC LIMIT 10;",
            "SELECT * FROM stock WHERE NOT (n = 0 OR kind = 'spare part');",
        ],
        "SELECT FROM people;",
    ),
    (
        "table",
        r"""
root ::= line+
line ::= cell ("," cell)* "\n"
cell ::= "\"" ([^"] | "\"\"")* "\"" | [^",\n]*
""",
        ['id,name,remark\n1,Ada,"said ""yes"", then left"\n2,Grace,\n'],
        '1,"Ada\n',
    ),
    (
        "lists",
        r"""
root ::= ("- " latin "\n")+ ([0-9]{1,2} ". " kana "\n")*
latin ::= [A-Za-z] [A-Za-z ',.]*
kana ::= ([\u3041-\u3096] | [\u30a1-\u30fa] | [\u4e00-\u9faf] | "\u3001")+ "\u3002"
""",
        ["- Bread and butter\n- Milk, two bottles\n1. パンと牛乳。\n2. 買い物、掃除。\n"],
        "- 1\n",
    ),
    (
        "chess",
        r"""
root ::= move+
move ::= [1-9] [0-9]? ". " ply (" " ply)? "\n"
ply ::= (("O-O" "-O"?) | [KQRBN]? [a-h]? [1-8]? "x"? [a-h] [1-8] ("=" [QRBN])?) [+#]?
""",
        ["1. e4 e5\n2. Nf3 Nc6\n3. Bb5 a6\n4. Bxc6 dxc6\n5. O-O Qf6+\n"],
        "1. e9 e5\n",
    ),
]


def main() -> None:
    for name, gbnf, valid, invalid in ROWS:
        tests = [{"valid": True, "text": text} for text in valid] + [{"valid": False, "text": invalid}]
        lines = gbnf.replace("\n  ", " ")  # a rule a line, as the peers' readers have it
        print(json.dumps({"id": name, "gbnf": lines, "tests": tests}, ensure_ascii=False))


if __name__ == "__main__":
    main()
