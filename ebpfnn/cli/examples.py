"""The examples at the end of each verb's help."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "infer": (
        "ebpfnn infer digit.png",
        "ebpfnn infer --top 3 --json scans/ digits.tar",
        "find . -name '*.png' -print0 | ebpfnn infer --paths --null",
    ),
    "load": (
        "ebpfnn load",
        "ebpfnn load mnist-cnn --name digits --group video",
        "ebpfnn load guard.safetensors --target eth0 --where 'source in 10.0.0.0/8'",
    ),
    "list": ("ebpfnn list", "ebpfnn list --json"),
    "swap": ("ebpfnn swap mnist-128", "ebpfnn swap digits ./mine.safetensors"),
    "watch": ("ebpfnn watch", "ebpfnn watch digits --count 100 --json"),
    "stats": ("ebpfnn stats", "ebpfnn stats digits --seconds 10"),
    "apply": ("ebpfnn apply guards.toml", "ebpfnn apply /etc/ebpfnn/guards.toml --dry-run"),
    "exporter": ("ebpfnn exporter", "ebpfnn exporter --once", "ebpfnn exporter --textfile /var/lib/node_exporter/ebpfnn.prom"),
    "verdicts": ("ebpfnn verdicts", "ebpfnn verdicts guard --label scan --json"),
    "unload": ("ebpfnn unload", "ebpfnn unload digits", "ebpfnn unload --all"),
    "query": ("ebpfnn query 192.0.2.1 digit.png", "ebpfnn query --any --check host.example:8000 digit.png"),
    "models": ("ebpfnn models", "ebpfnn models --json"),
    "collect": (
        "ebpfnn collect flow.toml --target eth0 --output flows.parquet --label benign --for 5m",
        "ebpfnn collect flow.toml --target eth0 --output flows.parquet --label scan --append",
        "ebpfnn collect flow.toml --pcap monday.pcapng --output flows.parquet --group monday --append",
    ),
    "label": (
        "ebpfnn label flows.parquet --rule 'address in 10.0.0.0/24 and port == 22 -> scan' --rule 'any -> benign'",
        "ebpfnn label flows.csv --rules rules.toml --output labelled.csv",
    ),
    "train": (
        "ebpfnn train --dataset MNIST --epochs 10 --name digits",
        "ebpfnn train --data flows.csv --label verdict --split-by session",
        "ebpfnn train --data samples.npz --arch 100-16-4 --bits 1 --resume",
    ),
    "actions": ("ebpfnn actions guard", "ebpfnn actions guard --json"),
    "alerts": ("ebpfnn alerts guard", "ebpfnn alerts guard --seconds 60"),
    "cases": ("ebpfnn cases guard", "ebpfnn cases guard --last 100 --json"),
    "explain": (
        "ebpfnn explain guard",
        "ebpfnn explain guard source=10.77.0.59",
        "ebpfnn explain guard.safetensors --data day2.npz --row 7",
    ),
    "enforce": ("ebpfnn enforce guard --for 10m", "ebpfnn enforce"),
    "audit": ("ebpfnn audit guard", "ebpfnn audit"),
    "pause": ("ebpfnn pause guard", "ebpfnn pause"),
    "resume": ("ebpfnn resume guard", "ebpfnn resume"),
    "cascade": (
        "ebpfnn cascade mnist-1bit mnist-1bit-64 --data /data/mnist",
        "ebpfnn cascade fast.safetensors mnist-cnn --data /data/mnist --share 0.1 --unpacked -o both.safetensors",
    ),
    "calibrate": (
        "ebpfnn calibrate guard.safetensors --data day2.parquet",
        "ebpfnn calibrate guard.safetensors --data day2.npz --spare web --false-positives 0.01 --output calibrated.safetensors",
    ),
    "quantize": ("ebpfnn quantize model.onnx", "ebpfnn quantize mlp.pth --arch 784-128-10 --calibration images/"),
    "eval": ("ebpfnn eval mnist --no-kernel", "ebpfnn eval mine.safetensors --data images/ --report page"),
    "export": ("ebpfnn export mnist --onnx mnist.onnx", "ebpfnn export mnist --raw weights/"),
    "import": (
        "ebpfnn import --raw weights/ --output mine.safetensors",
        "ebpfnn import --raw weights/ --output mine.safetensors && ebpfnn inspect mine.safetensors",
    ),
    "inspect": ("ebpfnn inspect", "ebpfnn inspect mnist-1bit --asm", "ebpfnn inspect mine.safetensors --plan straight"),
    "bench": (
        "ebpfnn bench --model mnist-1bit --row compiled",
        "ebpfnn bench --front",
        "ebpfnn bench --spec flow-24 --cold",
    ),
    "plugins": ("ebpfnn plugins", "ebpfnn plugins new trigger door", "ebpfnn plugins --json"),
    "plugins new": ("ebpfnn plugins new trigger door", "ebpfnn plugins new input seeds"),
    "fields": (
        "ebpfnn fields --trigger xdp",
        "ebpfnn fields --target sched:sched_switch",
        "ebpfnn fields --trigger fentry --target tcp_v4_rcv --json",
    ),
    "spec": ("ebpfnn spec", "ebpfnn spec flow", "ebpfnn spec ./mine.toml --json"),
    "include-dir": ("ebpfnn include-dir", 'clang -target bpf -O2 -g -I"$(ebpfnn include-dir)" -c door.bpf.c -o door.bpf.o'),
    "bpf": ("ebpfnn bpf list", "ebpfnn bpf list programs maps --json"),
    "bpf list": ("ebpfnn bpf list", "ebpfnn bpf list links --json"),
    "doctor": ("ebpfnn doctor", "ebpfnn doctor --json"),
    "objdump": ("ebpfnn objdump program.bpf.o", "ebpfnn objdump --asm program.bpf.o"),
    "completion": (
        "ebpfnn completion bash > /etc/bash_completion.d/ebpfnn",
        'eval "$(ebpfnn completion zsh)"',
        "ebpfnn completion fish > ~/.config/fish/completions/ebpfnn.fish",
    ),
    "help": ("ebpfnn help infer", "ebpfnn help plugins new"),
}
