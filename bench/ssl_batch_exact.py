"""How much padding changes the features of an utterance: transformers' own batch beside ours.

    python bench/ssl_batch_exact.py                      # HuBERT-base's layout, 3 layers, random weights
    python bench/ssl_batch_exact.py --model FOLDER       # a model of yours
    python bench/ssl_batch_exact.py --upstream whisper:FOLDER --wav speech.wav   # bfloat16's gradient

Relative change ||padded - alone|| / ||alone|| of the last layer's valid frames, for zeros appended to 4 s of
signal; for ours also that of the gradient at the waveform.
"""

import tempfile

import torch
from bench_common import make_parser

from espnet_posinv.ssl import load_encoder

SECONDS, SHARES = 4.0, (0.02, 0.05, 0.25, 1.0)


def signal(path, samples):
    if path is None:
        torch.manual_seed(0)
        wave = torch.randn(1, samples)
        envelope = torch.sin(torch.linspace(0, 12.6, samples)).square()
        return 0.1 * wave * envelope
    import soundfile

    wav, rate = soundfile.read(path, dtype="float32", frames=samples)
    if rate != 16000 or wav.ndim != 1 or len(wav) < samples:
        raise SystemExit(f"{path}: give {SECONDS:g} s or more, 16 kHz, one channel")
    return torch.from_numpy(wav)[None]


def relative(x, reference):
    return ((x - reference).norm() / reference.norm()).item()


def gradient(encoder, wav, reference, lengths=None):
    wav = wav.clone().requires_grad_()
    feats, frames = encoder(wav, lengths)
    (feats[:, : frames.item()] - reference).square().sum().backward()
    return wav.grad


def padding(folder, wav):
    from transformers import AutoModel

    theirs = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    ours = load_encoder(f"transformers:{folder}", normalize_input=False)
    samples = wav.shape[1]
    lengths = torch.tensor([samples])
    with torch.no_grad():
        alone = theirs(wav).last_hidden_state
        ours_alone, _ = ours(wav)
        target = ours(wav.flip(1))[0]
    ours_gradient = gradient(ours, wav, target)
    print(f"{ours.label}; ours alone against transformers alone: {relative(ours_alone, alone):.1e}")
    print("| zeros appended | transformers | ours | ours, gradient |\n|---|---|---|---|")
    for share in SHARES:
        padded = torch.nn.functional.pad(wav, (0, round(share * samples)))
        mask = (torch.arange(padded.shape[1]) < samples)[None].long()
        with torch.no_grad():
            a = theirs(padded, attention_mask=mask).last_hidden_state[:, : alone.shape[1]]
            b = ours(padded, lengths)[0][:, : alone.shape[1]]
        c = gradient(ours, padded, target, lengths)[:, :samples]
        print(
            f"| {share:.0%} | {relative(a, alone):.1e} | {relative(b, ours_alone):.1e} | "
            f"{relative(c, ours_gradient):.1e} |"
        )


def half_precision(upstream, wav):
    noisy = wav + 0.02 * torch.randn(wav.shape, generator=torch.Generator().manual_seed(0))
    full, half = (load_encoder(upstream, dtype=dtype) for dtype in ("float32", "bfloat16"))
    with torch.no_grad():
        target, _ = full(wav)
        features = relative(half(noisy)[0], full(noisy)[0])
    a, b = (gradient(encoder, noisy, target) for encoder in (full, half))
    cosine = torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0).item()
    print(
        f"{full.label}, bfloat16 against float32: features {features:.1%}, gradient of the distance to the "
        f"clean signal {relative(b, a):.1%} (cosine {cosine:.4f})"
    )


def main(argv=None):
    parser = make_parser(__doc__)
    parser.add_argument("--model", help="transformers folder; default: random weights")
    parser.add_argument("--upstream", help="only measure bfloat16, with this upstream")
    parser.add_argument("--wav", help="16 kHz recording; default: modulated noise")
    args = parser.parse_args(argv)
    wav = signal(args.wav, int(SECONDS * 16000))
    if args.upstream:
        half_precision(args.upstream, wav)
        return
    with tempfile.TemporaryDirectory() as folder:
        if args.model is None:
            from transformers import HubertConfig, HubertModel

            torch.manual_seed(0)
            HubertModel(HubertConfig(num_hidden_layers=3)).save_pretrained(folder)
        padding(args.model or folder, wav)


if __name__ == "__main__":
    main()
