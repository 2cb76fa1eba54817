"""Makes the audio files beside this script, and ``manifest.json`` with the length that ffmpeg decodes of each.

    python -m pip install imageio-ffmpeg
    python tests/data/audio/make.py

The package brings a binary of ffmpeg in its wheel. Tests need neither: they read the files and the manifest. Next to
the length of the whole file, the manifest has that of its first 60 % ("cut"), of the file joined to itself ("twice")
and of the file without a fifth behind its middle ("holed"); 0 where ffmpeg cannot read them.
"""

import json
import subprocess
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

HERE = Path(__file__).parent
RATE = 48_000
COVER = HERE / "cover.png"
FILM = "testsrc=s=32x32:r=5:d={seconds}"

# Half tone, half silence: what an encoder with a variable bit rate makes of it is far from its nominal rate.
SOUND = "sine=f=440:r={rate}:d={seconds},volume='if(lt(mod(t,4),2),0.5,0)':eval=frame"
SILENCE = "anullsrc=r={rate}:cl=mono:d={seconds}"

# Name, seconds, sample rate, ffmpeg's options. A name that begins with "piped" is written to a pipe, in which ffmpeg
# cannot go back to fill in a length.
FILES: list[tuple[str, int, int, str]] = [
    ("pcm.wav", 2, 8000, "-c:a pcm_u8"),
    ("piped-pcm.wav", 2, 8000, "-c:a pcm_u8 -f wav"),
    ("pcm24-extensible.wav", 1, 4000, "-c:a pcm_s24le"),
    ("rf64.wav", 1, 8000, "-c:a pcm_u8 -rf64 always"),
    ("mulaw.wav", 1, 8000, "-c:a pcm_mulaw"),
    ("adpcm-ima.wav", 2, 8000, "-c:a adpcm_ima_wav"),
    ("adpcm-ms.wav", 2, 8000, "-c:a adpcm_ms"),
    ("mp3-in.wav", 8, 16000, "-c:a libmp3lame -b:a 8k"),
    ("tone.flac", 4, 8000, "-c:a flac"),
    ("piped.flac", 4, 8000, "-c:a flac -f flac"),
    ("cover.flac", 4, 8000, "-c:a flac COVER"),
    ("silence.flac", 60, 8000, "SILENCE -c:a flac"),
    ("cbr.mp3", 12, 16000, "-c:a libmp3lame -b:a 8k"),
    ("mpeg1.mp3", 3, 44100, "-c:a libmp3lame -b:a 32k"),
    ("vbr.mp3", 12, 16000, "-c:a libmp3lame -q:a 9"),
    ("vbr-without-xing.mp3", 12, 16000, "-c:a libmp3lame -q:a 9 -write_xing 0"),
    ("silence-vbr.mp3", 12, 16000, "SILENCE -c:a libmp3lame -q:a 9"),
    ("cover.mp3", 12, 16000, "-c:a libmp3lame -b:a 8k COVER"),
    ("layer2.mpga", 8, 16000, "-c:a mp2 -b:a 8k -f mp2"),
    ("film.mpeg", 2, 32000, "-c:a mp2 -b:a 32k FILM -c:v mpeg1video -r 25 -f mpeg"),
    ("adts.aac", 60, 8000, "-c:a aac -b:a 6k"),
    ("silence-adts.aac", 30, 16000, "SILENCE -c:a aac -b:a 6k"),
    ("tone.m4a", 12, 8000, "-c:a aac -b:a 6k"),
    ("faststart.m4a", 12, 8000, "-c:a aac -b:a 6k -movflags +faststart"),
    ("cover.m4a", 12, 8000, "-c:a aac -b:a 6k COVER -disposition:v attached_pic"),
    ("alac.m4a", 1, 8000, "-c:a alac"),
    ("silence.m4a", 60, 8000, "SILENCE -c:a aac -b:a 6k"),
    ("film.mp4", 4, 16000, "-c:a aac -b:a 8k FILM -c:v mpeg4"),
    ("opus.mp4", 10, 48000, "-c:a libopus -b:a 6k"),
    ("mp3.mp4", 8, 16000, "-c:a libmp3lame -b:a 8k"),
    ("piped-fragmented.mp4", 12, 8000, "-c:a aac -b:a 6k FRAGMENTS empty_moov -f mp4"),
    ("fragmented-base-moof.mp4", 12, 8000, "-c:a aac -b:a 6k FRAGMENTS default_base_moof"),
    ("piped-film-fragmented.mp4", 4, 16000, "-c:a aac -b:a 8k FILM -c:v mpeg4 FRAGMENTS empty_moov -f mp4"),
    ("vorbis.ogg", 60, 8000, "-c:a libvorbis -q:a -1"),
    ("vorbis-44100.ogg", 8, 44100, "-c:a libvorbis -q:a -1"),
    ("silence-vorbis.ogg", 60, 16000, "SILENCE -c:a libvorbis -q:a -1"),
    ("piped-vorbis.ogg", 12, 8000, "-c:a libvorbis -q:a -1 -f ogg"),
    ("opus.ogg", 12, 48000, "-c:a libopus -b:a 6k"),
    ("piped-opus.ogg", 6, 48000, "-c:a libopus -b:a 6k -f ogg -page_duration 20000"),
    ("flac.ogg", 4, 8000, "-c:a flac"),
    ("opus.webm", 10, 48000, "-c:a libopus -b:a 6k"),
    ("piped-opus.webm", 10, 48000, "-c:a libopus -b:a 6k -f webm -live 1"),
    ("opus-60ms.webm", 10, 48000, "-c:a libopus -b:a 6k -frame_duration 60"),
    ("vorbis.webm", 10, 8000, "-c:a libvorbis -q:a -1"),
    ("piped-vorbis.webm", 10, 8000, "-c:a libvorbis -q:a -1 -f webm -live 1"),
    ("film.webm", 4, 48000, "-c:a libopus -b:a 6k FILM -c:v libvpx -b:v 8k"),
]


def main() -> None:
    manifest = {}
    _run("-f", "lavfi", "-i", "testsrc=s=64x64:d=1", "-frames:v", "1", str(COVER))
    for name, seconds, rate, options in FILES:
        content = _encoded(name, seconds, rate, options)
        (HERE / name).write_bytes(content)
        manifest[name] = {
            "whole": _decoded_seconds(content),
            "cut": _decoded_seconds(content[: len(content) * 6 // 10]),
            "twice": _decoded_seconds(content * 2),
            "holed": _decoded_seconds(content[: len(content) // 2] + content[len(content) * 7 // 10 :]),
        }
    COVER.unlink()
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def _encoded(name: str, seconds: int, rate: int, told: str) -> bytes:
    inputs: list[str] = []
    output: list[str] = []
    sound = SOUND
    for word in told.split():
        if word == "SILENCE":
            sound = SILENCE
        elif word == "COVER":
            inputs += ["-i", str(COVER)]
            output += ["-map", "0:a", "-map", "1:v", "-c:v", "copy"]
        elif word == "FILM":
            inputs += ["-f", "lavfi", "-i", FILM.format(seconds=seconds)]
        elif word == "FRAGMENTS":
            output += ["-frag_duration", "2000000", "-movflags"]
        else:
            output.append(word)
    source = ["-f", "lavfi", "-i", sound.format(rate=rate, seconds=seconds)]
    options = [*source, *inputs, "-ac", "1", "-ar", str(rate), *output, "-bitexact"]
    if name.startswith("piped"):
        return _run(*options, "pipe:1")
    _run(*options, str(HERE / name))
    return (HERE / name).read_bytes()


def _run(*options: str) -> bytes:
    command = [get_ffmpeg_exe(), "-v", "error", "-y", "-bitexact", *options]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def _decoded_seconds(content: bytes) -> float:
    """How much sound ffmpeg decodes, in seconds; all that it can, of a file that is damaged."""
    path = HERE / "decoded.tmp"
    path.write_bytes(content)
    command = [get_ffmpeg_exe(), "-v", "quiet", "-i", str(path), "-map", "0:a:0", "-ac", "1", "-ar", str(RATE)]
    try:
        done = subprocess.run([*command, "-f", "u8", "pipe:1"], stdout=subprocess.PIPE, check=False)
    finally:
        path.unlink()
    return round(len(done.stdout) / RATE, 3)


if __name__ == "__main__":
    main()
