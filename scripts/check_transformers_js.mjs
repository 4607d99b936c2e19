// Load folders of `quantbench save-model` with transformers.js, and compare with ONNX Runtime alone.
//
//     mkdir scratch && cd scratch
//     npm install --ignore-scripts @huggingface/transformers@4.3.1
//     node .../scripts/check_transformers_js.mjs FOLDER [FOLDER ...]
//
// Packages are those of the working directory. For each model file of a folder: transformers.js
// loads it by the `dtype` of quantbench.json, from this disk alone; its outputs on one sample must
// be those of the file of that name in a plain session. Exit code 0 if all is so, 1 if not.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";

const require = createRequire(join(process.cwd(), "package.json"));
const js = require("@huggingface/transformers");
// The runtime that transformers.js itself has, whichever version it brought.
const ort = createRequire(require.resolve("@huggingface/transformers"))("onnxruntime-node");

const image = () =>
  new js.RawImage(Uint8ClampedArray.from({ length: 48 * 64 * 3 }, (_, i) => (i * 7) % 251), 64, 48, 3);

// By the task: the class of the model, and the inputs for one sample.
const TASKS = {
  "question-answering": [
    js.AutoModelForQuestionAnswering,
    async (folder) => {
      const tokenizer = await js.AutoTokenizer.from_pretrained(folder);
      return tokenizer("Where is the key?", { text_pair: "The key is in a box on the table." });
    },
  ],
  "image-classification": [
    js.AutoModelForImageClassification,
    async (folder) => (await js.AutoImageProcessor.from_pretrained(folder))(image()),
  ],
};

// The largest difference of any output between transformers.js and a session of the file.
async function difference(found, path, inputs) {
  const session = await ort.InferenceSession.create(path);
  const given = session.inputNames.map((name) => {
    const { type, data, dims } = inputs[name];
    return [name, new ort.Tensor(type, data, dims)];
  });
  const wanted = await session.run(Object.fromEntries(given));
  const parts = session.outputNames.flatMap((name) =>
    Array.from(wanted[name].data, (value, i) => Math.abs(value - found[name].data[i])),
  );
  return parts.reduce((a, b) => Math.max(a, b), 0); // NaN, of what is not there, stays
}

js.env.allowRemoteModels = false;
let failed = process.argv.length < 3;
for (const folder of process.argv.slice(2).map((name) => resolve(name))) {
  js.env.localModelPath = dirname(folder);
  const record = JSON.parse(readFileSync(join(folder, "quantbench.json"), "utf8"));
  for (const { path, dtype } of record.models) {
    try {
      const [kind, encode] = TASKS[record.task];
      const model = await kind.from_pretrained(basename(folder), { dtype });
      const inputs = await encode(basename(folder));
      const apart = await difference(await model(inputs), join(folder, path), inputs);
      console.log(`${folder}: dtype ${dtype}: ${apart} from ${path} in ONNX Runtime alone`);
      failed ||= apart !== 0;
    } catch (error) {
      console.log(`${folder}: dtype ${dtype}: ${error}`);
      failed = true;
    }
  }
}
console.log(`@huggingface/transformers ${js.env.version}, node ${process.version}`);
process.exit(failed ? 1 : 0);
