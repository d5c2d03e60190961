"""What packages and bundles hold, without building one: code, commands, units, settings, manual, scripts."""

import ast
import io
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
import typer.main
from shipping import bundle, deb, manual, own_code
from shipping.completion import completions
from shipping.env_file import env_file
from shipping.locks import Target
from shipping.programs import AGENT, GATEWAY, ISSUING, PROGRAMS, PROJECT
from shipping.release import Release
from shipping.settings_list import settings_of
from shipping.tree import File, Link

from runtime.configuration import load

RELEASE = Release("1.2.3", 1_700_000_000, "A Builder <builder@example.com>")
OURS = {"agent", "certs", "gateway", "http1", "jira_api", "runtime", "tunnel"}
programs = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)


def contents(program):
    return deb.contents(program, RELEASE, Target("3.13", "x86_64"), [], "1.2.3-1~deb13")


def imported(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def module_of(path):
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@programs
def test_everything_of_ours_that_is_imported_is_shipped(program):
    shipped = {module_of(path) for path in program.sources() if path.endswith(".py")}
    everything = {
        module_of(path.relative_to(PROJECT).as_posix()) for folder in OURS for path in (PROJECT / folder).rglob("*.py")
    }
    for path in program.sources():
        if path.endswith(".py"):
            for name in imported((PROJECT / path).read_text()):
                assert name not in everything - shipped, f"{path} imports {name}, which {program.name} does not ship"


def test_the_agent_comes_without_the_gateway_and_without_code_that_issues_certificates():
    sources = set(AGENT.sources())
    assert "agent/app.py" in sources
    assert not sources & ISSUING
    assert not [path for path in sources if path.startswith("gateway/")]
    assert set(GATEWAY.sources()) >= ISSUING, "a file that is left out has another name now"


@programs
def test_commands_are_on_the_path_and_start_the_environment_s_own_python(program):
    made = contents(program)
    for command in program.commands:
        assert made[f"usr/bin/{command}"] == Link(f"/opt/{program.name}/bin/{command}")
        script = made[f"opt/{program.name}/bin/{command}"]
        assert script.mode == 0o755
        assert script.content.startswith(f"#!/opt/{program.name}/bin/python3 -I\n".encode())
    assert made[f"opt/{program.name}/bin/python3"] == Link("/usr/bin/python3")
    metadata = f"opt/{program.name}/lib/python3.13/site-packages/jira_tunnel-1.2.3.dist-info/METADATA"
    assert b"\nVersion: 1.2.3\n" in made[metadata].content


@programs
def test_units_start_what_is_installed_and_name_the_settings_and_the_user_that_are(program):
    made = contents(program)
    for unit in program.units:
        content = made[f"usr/lib/systemd/system/{unit}"].content.decode()
        for started in re.findall(r"^ExecStart=(\S+)", content, re.MULTILINE):
            assert started.lstrip("/") in made
        for user in re.findall(r"^User=(\S+)", content, re.MULTILINE):
            assert f"u {user} " in made[f"usr/lib/sysusers.d/{program.name}.conf"].content.decode()
        for page in re.findall(r"man:(\S+?)\((\d)\)", content):
            assert f"usr/share/man/man{page[1]}/{page[0]}.{page[1]}.gz" in made
    assert program.started in program.units
    assert f"EnvironmentFile=-/etc/{program.name}/{program.env_file}" in "".join(
        made[f"usr/lib/systemd/system/{unit}"].content.decode() for unit in program.units
    )


@programs
def test_the_settings_file_sets_nothing_names_everything_and_is_no_one_else_s_to_read(program, tmp_path):
    assert contents(program)[f"etc/{program.name}/{program.env_file}"].mode == 0o640
    written = env_file(program)
    assert all(line.startswith("#") or not line for line in written.splitlines())
    named = set(re.findall(rf"^#({program.settings.prefix}\w+)=", written, re.MULTILINE))
    secrets = {f"{setting.variable}_FILE" for setting in settings_of(program.settings) if setting.secret}
    assert named == {setting.variable for setting in settings_of(program.settings)} | secrets


@programs
def test_settings_that_are_switched_on_as_they_stand_are_the_defaults(program, tmp_path):
    path = tmp_path / "all.env"
    path.write_text(re.sub(rf"^#({program.settings.prefix}\w+=.+)$", r"\1", env_file(program), flags=re.MULTILINE))
    said = {f"{program.settings.prefix}STATE_DIR": f"/var/lib/{program.name}"}
    if program is GATEWAY:  # what agents dial is derived only where nobody said where to listen
        said["JIRA_GATEWAY_TUNNEL_URL"] = "wss://gateway.example.com:8443"
    assert load(program.settings, env_file=path, environ=said) == load(
        program.settings, env_file=Path("/dev/null"), environ=said
    )


@programs
def test_the_manual_has_every_command_and_setting_in_plain_macros(program):
    pages = manual.pages(program, "1.2.3", RELEASE.epoch)
    assert set(pages) == {f"{command}.1" for command in program.commands} | {f"{program.name}.env.5"}
    for command, (_, app) in program.commands.items():
        for name in typer.main.get_command(app).commands:
            assert f".SS {command} {name}".replace("-", "\\-") in pages[f"{command}.1"]
    for setting in settings_of(program.settings):
        assert f"\\fB{setting.variable}\\fR" in pages[f"{program.name}.env.5"]
    known = {".TH", ".SH", ".SS", ".PP", ".TP", ".B", ".I", ".nf", ".fi", ".nh", ".ad"}
    for page in pages.values():
        assert {line.split()[0] for line in page.splitlines() if line.startswith(".")} <= known
        assert page.isascii() or "—" not in page
        assert "\b" not in page


def complete(script, *words):
    """What bash offers for a line of words, the last of which is being written."""
    line = " ".join(f"'{word}'" for word in words)
    run = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _{words[0].replace('-', '_')}; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", f"{script}\n{run}"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_bash_completes_commands_and_options_without_the_program():
    agent = completions(AGENT, "usr/")["usr/share/bash-completion/completions/jira-agent"]
    assert complete(agent, "jira-agent", "enr") == ["enroll"]
    assert complete(agent, "jira-agent", "policy", "") == ["check", "show", "--help"]
    assert "--env-file" in complete(agent, "jira-agent", "policy", "show", "--")
    gateway = completions(GATEWAY, "usr/")["usr/share/bash-completion/completions/jira-gateway"]
    assert complete(gateway, "jira-gateway", "connections", "add", "hq", "--via", "x", "--cred") == ["--credentials"]
    assert complete(gateway, "jira-gateway", "nonsense", "run", "--env") == ["--env-file"]


@programs
def test_every_command_has_completion_for_three_shells_at_both_places(program):
    for prefix in ("usr/", "usr/local/"):
        made = completions(program, prefix)
        assert len(made) == 3 * len(program.commands)
        assert all(path.startswith(prefix) for path in made)
        for command in program.commands:
            assert len([script for script in made.values() if command in script]) == 3


@programs
def test_maintainer_scripts_and_the_installer_are_complete_and_parse(program, tmp_path):
    control = deb.control(program, RELEASE, "1.2.3-1~deb13", "amd64", Target("3.13", "x86_64"), contents(program))
    scripts = {name: file.content for name, file in control.items() if file.mode == 0o755}
    assert set(scripts) == {"DEBIAN/postinst", "DEBIAN/prerm", "DEBIAN/postrm"}
    scripts["install.sh"] = bundle.script(program, "x86_64").encode()
    for name, script in scripts.items():
        assert not re.search(rb"@[A-Z_]+@", script), name
        assert subprocess.run(["sh", "-n"], input=script, check=False).returncode == 0, name
    fields = control["DEBIAN/control"].content.decode()
    assert "Depends: python3 (>= 3.13), python3 (<< 3.14)," in fields
    assert "Version: 1.2.3-1~deb13\n" in fields
    assert control["DEBIAN/conffiles"].content == f"/etc/{program.name}/{program.env_file}\n".encode()


@programs
def test_our_wheel_is_the_same_twice_and_lists_what_it_holds(program):
    made = own_code.wheel(program, RELEASE)
    assert made == own_code.wheel(program, RELEASE)
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        names = archive.namelist()
        record = archive.read("jira_tunnel-1.2.3.dist-info/RECORD").decode()
    assert {line.split(",")[0] for line in record.splitlines()} == set(names)
    assert {name for name in names if ".dist-info/" not in name} == set(program.sources())


def test_nothing_is_loaded_by_a_file_that_fails_without_the_module():
    made = contents(AGENT)
    assert not [path for path in made if "modules-load.d" in path]
    assert isinstance(made["usr/lib/sysctl.d/30-jira-agent.conf"], File)
    assert (
        b"\n-net.ipv4.tcp_allowed_congestion_control = reno cubic bbr\n"
        in made["usr/lib/sysctl.d/30-jira-agent.conf"].content
    )
