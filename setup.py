"""Install espnet_posinv; tools/setup.sh does it with the versions that were tested together."""

from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = {}
exec((here / "espnet_posinv" / "__init__.py").read_text(encoding="utf-8"), version)

asr = [
    "faster-whisper>=1.2",
    "flashlight-text>=0.0.7; python_version < '3.13'",  # beam search of CTC recognisers; no later wheels
]
s3prl = ["espnet-s3prl>=2026.5"]  # the fork that imports beside torchaudio 2.11
sinkhorn = ["geomloss>=0.3"]  # the criterion ssl_sinkhorn
gpu = ["numba-cuda>=0.30; sys_platform == 'linux'"]
dev = [
    "hypothesis>=6.100",
    "pytest>=8",
    "pytest-xdist>=3.6",
    "ruff>=0.9",
    "sphinx>=8",  # documentation
    "furo>=2024.8",
    "myst-parser>=4",
]

setup(
    name="espnet_posinv",
    version=version["__version__"],
    description="Position-invariant fine-tuning of speech enhancement with self-supervised representations",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["espnet_posinv", "espnet_posinv.*"]),
    package_data={"espnet_posinv": ["**/*.yaml", "**/*.json", "**/*.txt", "**/*.j2"]},
    install_requires=[
        "espnet>=202511",
        "torch>=2.11",
        "torchaudio>=2.11",
        "transformers>=4.50",
        "numba>=0.60",
        "numpy>=1.26",
        "scipy>=1.11",
        "kaldiio>=2.18",
        "sentencepiece>=0.2",
        "soundfile>=0.12",
        "soxr>=0.5",
        "sox>=1.5",
        "pyworld>=0.3.5",
        "setuptools<82",  # pyworld imports pkg_resources
        "jiwer>=4",
        "whisper-normalizer>=0.1.15",  # what counts as the same words; brings text2num and indic-numtowords
        "num2words>=0.5.14",
        "babel>=2.12",
        "regex",
        "av>=13",  # decodes G.722 in process
        "pesq>=0.0.4",
        "pystoi>=0.4",
        "mir_eval<0.9",
        "fast_bss_eval>=0.1.3",
        "ci_sdr>=0.0.2",
        "editdistance>=0.8",
        "speechmos>=0.0.1",
        "onnx>=1.17",  # reads the published NSNet2 weights
        "onnxruntime>=1.20",
        "scikit-learn>=1.5",
        "matplotlib>=3.8",
        "tensorboard>=2.16",
        "jinja2>=3.1",  # report.html
        "markdown>=3.5",
    ],
    entry_points={"console_scripts": ["posinv=espnet_posinv.cli:main"]},
    extras_require={
        "asr": asr,
        "s3prl": s3prl,
        "sinkhorn": sinkhorn,
        "gpu": gpu,
        "dev": dev,
        "all": asr + s3prl + sinkhorn + gpu + dev,
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
    ],
)
