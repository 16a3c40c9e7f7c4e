// The list of verbs, with what their help says.
#include <array>

#include "cli/command.h"

namespace espalier::cli {
namespace {

constexpr std::string_view kRunDetails =
    R"(The result goes to stdout as JSON. On a terminal the run is shown on stderr as it goes.

Examples:
  espalier run shop.gen --arg question="What do two lamps cost?"
  espalier run tutor.gen --args '{"history": [], "question": "What is a leap year?"}'
  espalier run letters.gen --arg letter=@letters/01.txt --stats -
)";
constexpr std::string_view kRenderDetails =
    R"(Control tokens stand by their names, holes as $[name: type]. No model runs; only its
tokenizer and chat template are read.

Example:
  espalier render letters.gen --arg letter=@letters/01.txt
)";
constexpr std::string_view kCheckDetails =
    R"(Every error and warning is reported, on stderr; exit 1 if there are errors.

Examples:
  espalier check shop.gen
  espalier check --json examples/*/*.gen
  espalier check --cost shop.gen
  espalier check --model smollm2 shop.gen
)";
constexpr std::string_view kEvalDetails =
    R"(A line a field: how often it is right; then a line for all fields of a row together, and a line
for each value that was missed. A field's lists are taken together: items[].price.

Example:
  espalier eval topic.gen --rows gold.jsonl --model smollm2
)";
constexpr std::string_view kExplainDetails =
    R"(Examples:
  espalier explain E0302
  espalier explain
)";
constexpr std::string_view kTestDetails =
    R"(Holes and tools have the values that a test's mocks give them, so that no model is needed; with
--model the other holes are the model's. A line a test goes to stdout, what failed to stderr;
exit 1 if a test failed or a file has errors.

Examples:
  espalier test examples
  espalier test topic.gen --only "lost card"
  espalier test topic.gen --model smollm2
)";
constexpr std::string_view kFmtDetails =
    R"(Indentation, spaces and empty lines are decided, lines and comments stay as they are, and the
meaning never changes. Each file that changed is named on stdout.

Examples:
  espalier fmt shop.gen
  espalier fmt --check examples/*/*.gen
  espalier fmt --edition 1 shop.gen
)";
constexpr std::string_view kStubDetails =
    R"(A stub (.pyi) for mypy, pyright and editors: each generator with its parameters and its result,
records as TypedDict, enums and unions as Literal and Union. It goes to stdout; docs/cli.md shows
how a Python program uses it.

Example:
  espalier stub shop.gen > shop.pyi
)";
constexpr std::string_view kBatchDetails =
    R"(Each input gives one line of the output: {"id", "value"} or {"id", "error": {"code", "message"}}.
A document's id is its path; a row's is its "id", else the number of its line. A document is the
value of the program's one string parameter; a row's fields go to parameters by name.
A job that was stopped, killed or ran out of disk goes on with the same command; rows stand in the
order of the inputs once it is over. Exit 1 if any row has an error.

Examples:
  espalier batch letters.gen --in 'letters/**/*.txt' --out letters.jsonl
  espalier batch topic.gen --in messages.csv --out topics.jsonl --parallel 16
)";
constexpr std::string_view kCompleteDetails =
    R"(The answer goes to stdout. "top" has a list of [id, log-probability] for each id of the answer:
empty where the type left no choice. A typed answer adds "value"; --force-ids adds "logprobs".

Examples:
  espalier complete --prompt "The capital of France is" --max 8
  espalier complete --prompt "Year of the moon landing: " --type 'int(1900..2000)'
  espalier complete --prompt-file letter.txt --schema letter.schema.json --json
  espalier complete --prompt "1. e4" --gbnf chess.gbnf
  espalier complete --prompt "1, 2, 3," --force-ids '[216, 36]' --logprobs 5
)";
constexpr std::string_view kGrammarDetails =
    R"(No model runs; its tokenizer alone is read. Expected bytes stand as ranges: 0-9 , space.
--json prints {"compile_ms", "expressions", "rules", "least_tokens", "prefix_free", "vocabulary",
"unreachable", "unproductive"}, with "accepts" and "after" where they were asked for.

Examples:
  espalier grammar 'int(0..9)' --after ""
  espalier grammar --schema letter.schema.json --accepts '{"year": 20x4}'
  espalier grammar --gbnf chess.gbnf --accepts "1. e4 e5"
  espalier grammar --lark sums.lark --after "12 + " --json
)";
constexpr std::string_view kTokenizeDetails =
    R"(Prints a line for each token: its id and its text as a JSON string; or {"ids": [...]}.

Examples:
  espalier tokenize --text "Hello, world"
  espalier tokenize --special --json prompt.txt
)";
constexpr std::string_view kScoreDetails =
    R"(The mean negative log-likelihood of each token given those before it (the first has none).

Example:
  espalier score --file page.txt --json
)";
constexpr std::string_view kQualityDetails =
    R"(Both read the text in the same windows and are compared token by token: mean negative
log-likelihood and perplexity of each, how often their likeliest token is the same, the
Kullback-Leibler divergence from the reference (nats), and the largest difference of two
log-probabilities. The reference is exact, on the same device.

Examples:
  espalier quality qwen-q4_k_m.gguf --text page.txt --against qwen-bf16.gguf
  espalier quality qwen-bf16.gguf --text page.txt --numerics fp8 --calibration qwen.fp8 --json
  espalier quality smollm2 --text page.txt --kv-type q8
)";
constexpr std::string_view kCalibrateDetails =
    R"(For numerics fp8: measures on a text what 8-bit floats do to each product of the model's layers,
and writes a file by which those whose error passes the bound stay in 16 bits. Runs on the CPU,
whatever device the model is for; its layers' weights are F32, F16 or BF16.

Examples:
  espalier calibrate qwen.fp8 --model qwen-bf16.gguf --text page.txt
  espalier run shop.gen --model qwen-bf16.gguf --device cuda --numerics fp8 --calibration qwen.fp8
)";
constexpr std::string_view kPullDetails =
    R"(Puts a model into the store ($ESPALIER_MODELS, else ~/.cache/espalier/models), checked by its
SHA-256. A download that broke off goes on where it stopped; a model that is there is left alone.

Example:
  espalier pull smollm2
)";
constexpr std::string_view kListDetails =
    R"(Wherever a verb takes a model, the path of any .gguf file works too.
)";

constexpr std::string_view kShowDetails =
    R"(Architecture, sizes, tensor types by their share of the bytes, positions, tokenizer, chat template,
special tokens, and the memory that the model and one text of N tokens take. MODEL is as in --model.

Examples:
  espalier show smollm2
  espalier show ~/models/qwen.gguf --context 4096 --json
)";

constexpr std::string_view kTreeDetails =
    R"(A line a node: positions, pages, leases, how often it was found, how its text begins. What branches
share stands once, above them.

Examples:
  espalier tree draft.gen --arg topic="a lost umbrella"
  espalier tree draft.gen --arg topic="a lost umbrella" --json
)";

constexpr std::string_view kReplayDetails =
    R"(Equal programs, models and settings give equal texts, so that a difference is a change: of the
program, the model, or the arithmetic. Tools are not run: each call has the answer that it had.
Exit 1 if a token, or a text of the program, differs.

Examples:
  espalier run shop.gen --arg question="What do two lamps cost?" --trace shop.jsonl
  espalier replay shop.jsonl
  espalier replay shop.jsonl --model other.gguf --json
)";

constexpr std::string_view kBenchDetails =
    R"(Tokens a second, and what share they are of what this machine can read (the weights and keys and
values that a step must read) and multiply (int8 products; under --numerics tensor a GPU's best
product of bf16 matrices), both measured at the start. Branches
share one prompt, as forks do. Figures are medians; run nothing else beside it.

Examples:
  espalier bench
  espalier bench --model qwen.gguf --prefill 1024 --decode 64 --batch 1,8 --depth 0,1024 --json
  espalier bench --masked --batch 1
)";

constexpr std::string_view kBenchSharingDetails =
    R"(A line of a workload is a program: {"id", "requests": [{"text", "max_tokens", "after", "schema"}]}.
A request goes on from the answer of the request that it comes "after" (by index); those that come
after the same one fork it. All programs are there from the start and run greedily, once with the
cache, once without, once without drafts, and once more with each pool. "saved" is the share of the
prompts' tokens, paths in full, that nothing was computed for; "of best" sets it beside computing
each distinct one once.

Examples:
  espalier bench sharing chat.jsonl judge.jsonl
  espalier bench sharing chat.jsonl --pool 10,25,50 --at-once 16 --json
)";

constexpr std::string_view kMkmodelDetails =
    R"(For measuring shapes and tensor types that no file at hand has: such a model computes what a trained
one of its shape computes, and says nothing. The same options and seed give the same file.
One in 8-bit floats is one of bf16 that runs with --numerics fp8.

Examples:
  espalier mkmodel m.gguf --like llama-3.1-8b --type q4_k_m
  espalier mkmodel m.gguf --like smollm2-135m --type q4_0 --vocab-from smollm2
  espalier mkmodel m.gguf --layers 4 --width 512 --heads 8 --kv-heads 2 --feed-forward 1536
)";

constexpr std::string_view kLockDetails =
    R"(A program's `mcp "server/tool"` tools run only as they were pinned in tools.lock, which stands
beside the program, as does mcp.json, which says where the servers are. This verb reaches the
servers (as --allow opens them), pins what their tools are now, and prints a line a tool: new, as
before, or changed and where. --check changes nothing; exit 1 if something is not as pinned.

Examples:
  espalier lock clock.gen --allow mcp:time
  espalier lock clock.gen --allow mcp --check
)";

constexpr std::string_view kLspDetails =
    R"(For editors, which start it themselves (docs/editors). It speaks the Language Server Protocol 3.17:
errors while you type, hover, completion, go to definition, references, rename, formatting, colours
and fixes.
)";

constexpr std::array kVerbs{
    Verb{"run", "FILE[:GEN]", "Run a program", kRunDetails, make_run},
    Verb{"batch", "FILE[:GEN]", "Run a program over many documents or rows", kBatchDetails,
         make_batch},
    Verb{"check", "FILE...", "Find a program's errors without running it", kCheckDetails,
         make_check},
    Verb{"eval", "FILE[:GEN]", "How often a program is right, field by field", kEvalDetails,
         make_eval},
    Verb{"explain", "[CODE]", "What a message's code means, with a wrong and a right program",
         kExplainDetails, make_explain},
    Verb{"test", "FILE...", "Run the tests that stand in programs", kTestDetails, make_test},
    Verb{"fmt", "FILE...", "Lay programs out in the one style", kFmtDetails, make_fmt},
    Verb{"stub", "FILE", "Write a program's types for Python's type checkers", kStubDetails,
         make_stub},
    Verb{"lsp", "", "Serve an editor: what the language knows of a program, while it is written",
         kLspDetails, make_lsp},
    Verb{"lock", "FILE", "Pin what a program's MCP tools are", kLockDetails, make_lock},
    Verb{"render", "FILE[:GEN]", "Show the prompt that a program makes", kRenderDetails,
         make_render},
    Verb{"complete", "", "Complete a raw prompt, free or held to a type or a grammar",
         kCompleteDetails, make_complete},
    Verb{"grammar", "[TYPE]", "What a type, schema, pattern or grammar lets a text be",
         kGrammarDetails, make_grammar},
    Verb{"tokenize", "[FILE]", "Show the token ids of a text", kTokenizeDetails, make_tokenize},
    Verb{"score", "--file F", "How likely a model finds a text", kScoreDetails, make_score},
    Verb{"quality", "[MODEL]", "How near a model comes to its original, or numerics to exact ones",
         kQualityDetails, make_quality},
    Verb{"calibrate", "OUT", "Find which products 8-bit floats are too coarse for",
         kCalibrateDetails, make_calibrate},
    Verb{"pull", "MODEL", "Put a model into the store", kPullDetails, make_pull},
    Verb{"list", "", "The models that are known, and those that are here", kListDetails, make_list},
    Verb{"show", "[MODEL]", "What a model is, and the memory it takes", kShowDetails, make_show},
    Verb{"replay", "TRACE",
         "Run again what a trace recorded, and name the first token that differs", kReplayDetails,
         make_replay},
    Verb{"tree", "FILE[:GEN]", "Run a program and show the tree of prompts that is then held",
         kTreeDetails, make_tree},
    Verb{"bench", "", "How fast a model runs here, beside the machine's limits", kBenchDetails,
         make_bench},
    Verb{"bench sharing", "WORKLOAD...",
         "What sharing prefixes saves on programs, beside the best there can be",
         kBenchSharingDetails, make_bench_sharing},
    Verb{"mkmodel", "OUT", "Make a model file of random weights, for measuring", kMkmodelDetails,
         make_mkmodel},
};

}  // namespace

std::span<const Verb> verbs() { return kVerbs; }

}  // namespace espalier::cli
