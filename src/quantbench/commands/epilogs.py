"""What `--help` says below the options: what a command does with what it is given; examples."""

MAIN = """\
examples:
  quantbench demo                     a complete sweep of two small models, in minutes
  quantbench init MODEL --dataset D   a first config, guessed and commented
  quantbench plan sweep.yaml          what would be done, without doing it
  quantbench run sweep.yaml           do it; the card is runs/sweep/README.md
  quantbench list                     the runs that there are
  quantbench show runs/sweep          its rows, sorted, filtered; --row 3: everything about one
  quantbench export RUN --table rows  a table as Parquet, CSV or JSON
  quantbench card runs/sweep          write the card again from the stored results
  quantbench report runs/sweep        write report.html again: plots, filters, every number
  quantbench trace RUN --row 3        what made the numbers of a row
  quantbench inspect model.onnx       the modules of a file, and what is quantized in them
  quantbench time a.onnx b.onnx       how fast files are beside each other, without a dataset
  quantbench explain RUN --row 3      where its error and its time come from
  quantbench errors RUN --row 3       the samples that it answers worse, worst first
  quantbench compare OLD NEW          the same rows in two runs: versions, machines, models
  quantbench gate RUN --max-drop 0.5  for CI: does the recommended row meet conditions?
  quantbench save-model RUN --row 3 --to DIR   its model, for transformers and others to load
  quantbench push RUN --row 3 --repo me/NAME   publish model, card and results on the hub
  quantbench import CARD.md           a published card as a run, for card and others to read
  quantbench lint CARD.md             what a published card's numbers cannot support
  quantbench cache                    what the store has, by stage

exit codes:
  0 fine   1 failed, or a gate is not passed   2 wrong usage or config   3 a gate is undecided
  4 finished, some rows failed   130 interrupted
"""

SHOW = """\
Columns are those of the table `rows` (docs/tables.md); NAME@1x128 is one of `cells` in that shape.
`parameter.` may be left out, speedup is the overall one, a metric's name is its value. Filters are
COLUMN=VALUE, or with != < <= > >= or ~ (a list holds an item, a text holds a part).

examples:
  quantbench show runs/sweep
  quantbench show runs/sweep --sort speedup:desc --filter quantization_approach=static
  quantbench show runs/sweep --filter 'drop<0.5' --filter 'operators_to_quantize~MatMul'
  quantbench show runs/sweep --columns row,speedup,speedup@1x128,num_bytes
  quantbench show runs/sweep --row 3
"""

LIST = """\
Runs that were made with this store are listed wherever they are, and those below DIR.

examples:
  quantbench list
  quantbench list ../other-runs --json
"""

EXPORT = """\
Tables: rows, cells (row and shape), nodes, samples, blocks, forwards (raw times), steps. What each
column is, its unit, and why one is empty: docs/tables.md. FILE is replaced as a whole. In CSV, text
that a spreadsheet would take for a formula begins with an apostrophe.

examples:
  quantbench export runs/sweep --table rows --out rows.csv
  quantbench export runs/sweep --table forwards --out times.parquet
  quantbench export runs/sweep --table samples --format json --out samples.json
"""

INIT = """\
Task, columns, splits, metrics, classes and sizes are guessed from config.json of the model and
from the names and types of the data's columns. Each guess has a comment `guessed: from what`;
what could not be guessed is marked `fill in`, and until it is, `quantbench plan` refuses the file.
No model is loaded; a model or dataset of the hub is downloaded, as a run would do.

examples:
  quantbench init bundled:questions --dataset bundled:questions
  quantbench init ./my-model --dataset data/dev.json --out sweep.yaml
  quantbench init distilbert/distilbert-base-cased-distilled-squad --dataset rajpurkar/squad
"""

EXPLAIN = """\
The files of the row and of the float model that it was made from have to be in the store of this
machine. Activations are compared one sample at a time, weights one by one, and both models are
profiled. What is found is kept in RUN/explained/. The rules behind the advice: docs/explain.md.

examples:
  quantbench explain runs/sweep --row 8
  quantbench explain runs/sweep --row 8 --samples 128
  quantbench explain runs/sweep --row 1f0c --json
"""

ERRORS = """\
A sample is listed if its score changed in any metric: first those that got worse, those that the
original was surest of before others, then those that got better. All are written to
RUN/errors/row-N.parquet too. The samples themselves are read from the dataset, no model is loaded.

examples:
  quantbench errors runs/sweep --row 3
  quantbench errors runs/sweep --row 3 --limit 100
  quantbench errors runs/sweep --row 1f0c --json
"""

IMPORT = """\
The card may be Markdown as it was published, or text whose white space was collapsed. Every number
is read, and the card is written again to compare: published.md in the folder is equal to it but
for white space. card, and all that reads a run, works on the folder; what needs files, samples or
raw times says that a card has none. Which cards are of this family: docs/import.md.

examples:
  quantbench import README.md --out runs/theirs
  quantbench import distilbert-squad.card.txt
  quantbench card runs/distilbert-squad
"""

LINT = """\
Each finding has the number of its rule, what the card says and where, why that cannot be or cannot
be known, and what to do. The rules, with two cards as examples: docs/lint.md.

examples:
  quantbench lint README.md
  quantbench lint README.md --samples 872
  quantbench lint README.md --json

exit codes: 0 nothing found, 1 something found, 2 no card of this family, or a damaged one
"""

COMPARE = """\
The first run is what the others are compared with. Rows are the same if all swept parameters are.

Accuracy is paired where both runs evaluated the same samples: the drop from the first run to the
other has an interval over those samples. Else both values are shown, and why they are not paired.

Times of two runs are never divided. What is compared is how many times faster a row is than one
model that is the same in both runs, and only on machines of one kind: the original, if PyTorch,
transformers and the model are the same, or else ONNX Runtime fp32. More: docs/compare.md.

examples:
  quantbench compare runs/before runs/after
  quantbench compare runs/before runs/after --row 3 --shapes
  quantbench compare runs/laptop runs/server runs/cloud --json

exit codes:
  0 every row is in all runs   1 results cannot be read   2 wrong usage, or runs of other tasks
  4 a row is missing in a run, was refused, or lacks numbers
"""

GATE = """\
A condition is passed if its whole 95 % interval meets the limit, failed if none of it does, and
undecided if the limit is inside. Without --row it is the recommended row, chosen under --max-drop;
if nothing quantized is worth recommending, the gate is not passed. Without --shape a speed is that
in the worst shape. Speed-ups are over the original; a slowdown is against OLD, both runs measured
against a model that is the same in both, on machines of one kind. More: docs/gate.md.

examples:
  quantbench gate runs/sweep --max-drop 0.5 --min-speedup 1.5
  quantbench gate runs/sweep --row 3 --shape 1x128 --min-speedup 2
  quantbench gate runs/new --baseline runs/old --max-slowdown 3%
  quantbench gate runs/sweep --max-drop 0.5 --junit gate.xml --markdown gate.md

exit codes:
  0 passed   1 failed, or results cannot be read   2 wrong usage   3 undecided
"""

CACHE = """\
The store is QUANTBENCH_STORE, or ~/.cache/quantbench.

examples:
  quantbench cache                             how much there is, by stage
  quantbench cache list --all                  every artifact, and the runs that name it
  quantbench cache verify                      read every file; what is damaged is removed
  quantbench cache prune --unused-for 14d --dry-run
"""

PRUNE = """\
An artifact goes if any of the limits says so. What a run still names is kept: remove the folder
of a run to let go of it. Durations are in days or hours (30d, 12h), sizes in MB, GB, MiB or GiB.

examples:
  quantbench cache prune --older-than 30d
  quantbench cache prune --unused-for 14d --max-size 5GB --dry-run
"""

TRACE = """\
A number is followed back: evaluation or timing session, model file, quantization scheme and
ranges, exported file, model and data, each with its key in the store or its digest; then the
machine, and the command that makes it again.

examples:
  quantbench trace runs/sweep --row 3
  quantbench trace runs/sweep --row 3 --metric speedup
  quantbench trace runs/sweep --row 1f0c --metric exact_match --json
"""

INSPECT = """\
Nodes are shown by the module they come from; layers that hold the same are shown as one. Patterns
are what node_exclusion can name; layer.N and block:NAME name what the tree shows. Nothing is run,
and values of weights are not read.

examples:
  quantbench inspect model.onnx
  quantbench inspect onnx/model_quantized.onnx --depth 6
  quantbench inspect model.onnx --json
"""

TIME = """\
Every file is a process of its own, and only one runs at a time: they take turns, in rounds and in
several sets of fresh processes, so that what the machine does meanwhile hits all alike. A second
copy of the first file shows how equal equal files measure. Timing ends when all ratios are known to
--precision, or after --duration seconds for each file.

Inputs are made up: masks are ones, ids small, pixels random. Sizes that the graph leaves open are
the batch (first) and the length of tokens (second of integers); others have to be given by --shape.

examples:
  quantbench time model.onnx model_int8.onnx --input-length 64
  quantbench time vit.onnx vit_int8.onnx --shape pixel_values=1,3,224,224 --duration 60
  quantbench time onnx/model.onnx --pytorch . --batch-size 4 --threads 1 --json

exit codes: 0 fine, 1 the first file failed, 2 wrong usage, 4 another file failed
"""

SAVE = """\
The folder gets onnx/model.onnx (the fp32 export), the row's file under the name that
transformers.js has for it (onnx/model_int8.onnx), config.json, tokenizer or processor, the card,
and quantbench.json with the digests that were measured.

examples:
  quantbench save-model runs/sweep --row 3 --to distilbert-int8
  quantbench save-model runs/sweep --row 1f0c --to distilbert-int8 --force --json
"""

PUSH = """\
Published are the folder that save-model writes (model files, config, tokenizer or processor, card
with pictures), table.parquet, report.html if it is there, and results/*.json: in one commit, or as
a pull request. The token is that of `hf auth login`, or HF_TOKEN. Before anything is sent, the
card's front matter is checked. More: docs/push.md.

examples:
  quantbench push runs/sweep --row 3 --repo me/distilbert-int8 --dry-run
  quantbench push runs/sweep --row 3 --repo me/distilbert-int8 --private
  quantbench push runs/sweep --row 1f0c --repo them/distilbert --pr --json
"""
