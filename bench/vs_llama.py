#!/usr/bin/env python3
"""Espalier's CPU steps beside llama.cpp's, alternating in one run: medians and ratios.

    pip install llama-cpp-python==0.3.36
    python bench/vs_llama.py [--espalier build/bin/espalier] [--model FILE] [--rounds 3] [--threads 2]

Both prefill the same number of tokens (512) and decode 32 tokens after an empty and a 512-token
prefix, with logits of the last position only, on the same file and as many threads. Each round runs
one after the other, so that other load on the machine meets both. llama.cpp's extra buffer types
(AMX) are off by default, because they crash where a virtual machine shows AMX without granting it;
they do nothing else for this file's types. --amx turns them on.
"""

import argparse
import json
import os
import statistics
import subprocess
import time


def peer(args):
    import llama_cpp
    from llama_cpp import llama_cpp as low

    if not args.amx:
        defaults = low.llama_model_default_params

        def without_extra_buffers():
            params = defaults()
            params.use_extra_bufts = False
            return params

        low.llama_model_default_params = without_extra_buffers
        llama_cpp.llama_model_default_params = without_extra_buffers
    model = llama_cpp.Llama(
        args.model,
        n_ctx=1024,
        n_batch=512,
        n_ubatch=512,
        n_threads=args.threads,
        n_threads_batch=args.threads,
        verbose=False,
    )
    prompt = [1000 + i * 37 % 20000 for i in range(512)]

    def decode(prefix):
        model.reset()
        if prefix:
            model.eval(prompt)
        token = 100
        start = time.perf_counter()
        for _ in range(32):
            model.eval([token])
            # Greedy by the library's own sampler, over the whole vocabulary.
            token = model.sample(temp=0.0, repeat_penalty=1.0)
        return 32 / (time.perf_counter() - start)

    def run():
        model.reset()
        start = time.perf_counter()
        model.eval(prompt)
        out = {"prefill_512": 512 / (time.perf_counter() - start)}
        out["decode_batch_1_depth_0"] = decode(False)
        out["decode_batch_1_depth_512"] = decode(True)
        return out

    run()
    return run


def ours(args):
    options = ["--threads", str(args.threads), "--decode", "32", "--repeat", "1"]
    line = subprocess.run(
        [args.espalier, "bench", "--model", args.model, "--json", *options],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    out = {}
    for case in json.loads(line)["cases"]:
        if case["name"] == "prefill":
            name = f"prefill_{case['tokens']}"
        else:
            name = f"decode_batch_{case['batch']}_depth_{case['depth']}"
        out[name] = case["tokens_per_second"]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--espalier", default="build/bin/espalier")
    parser.add_argument(
        "--model", default=os.path.expanduser("~/.cache/espalier/models/SmolLM2-135M-Instruct.Q4_1.gguf")
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--amx", action="store_true")
    args = parser.parse_args()

    run_peer = peer(args)
    mine, theirs = [], []
    for _ in range(args.rounds):
        mine.append(ours(args))
        theirs.append(run_peer())
    print(f"{'tokens per second, median of ' + str(args.rounds):40} {'espalier':>9} {'llama.cpp':>9} ratio")
    for name in mine[0]:
        a = statistics.median(run[name] for run in mine)
        if name in theirs[0]:
            b = statistics.median(run[name] for run in theirs)
            print(f"{name:40} {a:9.1f} {b:9.1f} {a / b:5.2f}")
        else:
            alone = statistics.median(run["decode_batch_1_" + name.split("_", 3)[3]] for run in mine)
            print(f"{name:40} {a:9.1f} {'-':>9} {a / alone:5.2f} x batch 1")


if __name__ == "__main__":
    main()
