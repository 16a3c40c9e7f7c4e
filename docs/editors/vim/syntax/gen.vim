" The .gen language of Espalier.
if exists('b:current_syntax')
  finish
endif

syntax keyword genDeclaration use as config record enum type grammar tool gen test
syntax keyword genTurn system user assistant turn
syntax keyword genStatement let for in match splice return yield break require retry fork run select expect
syntax keyword genStatement mock accepts rejects from by
syntax keyword genConditional if else
syntax keyword genOperator and or not
syntax keyword genConstant true false null
syntax keyword genType string line int float bool json date time datetime uuid email url map schema span cite think
syntax match genNumber /\<\d\+\%(\.\d\+\)\?\>/
syntax match genPattern +\%([:|(=]\s*\)\@<=/\%([^/\\\n]\|\\.\)\+/+
syntax match genEscape /\\u{\x\+}\|\\.\|\$\$[{[]/ contained
syntax region genInsert matchgroup=genMark start=/\${/ end=/}/ contained contains=@genCode
syntax region genHole matchgroup=genMark start=/\$\[/ end=/\]/ contained contains=@genCode,genBrackets
syntax region genBrackets start=/\[/ end=/\]/ contained transparent contains=@genCode,genBrackets
syntax region genText start=/"/ skip=/\\./ end=/"/ oneline contains=genEscape,genInsert,genHole
syntax region genText start=/"""/ end=/"""/ contains=genEscape,genInsert,genHole
syntax match genComment +//.*$+
syntax match genDoc +///.*$+
syntax region genComment start=+/\*+ end=+\*/+
syntax cluster genCode contains=genDeclaration,genTurn,genStatement,genConditional,genOperator,genConstant,genType,
      \genNumber,genPattern,genText

highlight default link genDeclaration Structure
highlight default link genTurn Label
highlight default link genStatement Statement
highlight default link genConditional Conditional
highlight default link genOperator Operator
highlight default link genConstant Constant
highlight default link genType Type
highlight default link genNumber Number
highlight default link genPattern SpecialChar
highlight default link genEscape SpecialChar
highlight default link genMark Special
highlight default link genText String
highlight default link genComment Comment
highlight default link genDoc SpecialComment

let b:current_syntax = 'gen'
