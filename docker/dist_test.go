//go:build dist

package docker

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// command runs a command in a directory, which must succeed, and returns what it printed.
func command(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

// release is what `make dist` made in a clone.
type release struct {
	clone, dir, version string
	files               []string
}

// distTargets are the systems to look at, such as linux/amd64,linux/arm64; all if
// DIST_TARGETS is not set. Those of Linux must be among them.
var distTargets = cmp.Or(os.Getenv("DIST_TARGETS"), "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64,freebsd/amd64,freebsd/arm64")

// makeDist runs `make dist` in a new clone of what is committed.
func makeDist(t *testing.T, dir string) release {
	t.Helper()
	command(t, "..", nil, "git", "clone", "--quiet", "--no-local", ".", dir)
	// Eight systems take minutes: whatever else is tested at the same time goes first.
	// They take a fifth less where the compiler need not save memory.
	t.Log(command(t, dir, []string{"GOGC=400"}, "nice", "-n", "19", "make", "--no-print-directory", "dist", "TARGETS="+distTargets))
	r := release{clone: dir, dir: filepath.Join(dir, "bin", "dist")}
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		r.files = append(r.files, e.Name())
		if strings.HasSuffix(e.Name(), ".tar.gz") {
			r.version = strings.Split(e.Name(), "_")[1]
		}
	}
	return r
}

func (r release) read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Two clones in different places, the second with another umask and in another time
// zone, give the same bytes. What was compiled for the first is linked again for
// the second: Go takes it from its cache only for the same source, flags and, unless
// they are trimmed, paths.
func TestDist(t *testing.T) {
	first := makeDist(t, filepath.Join(t.TempDir(), "a"))
	if regexp.MustCompile(`devel|dirty`).MatchString(first.version) {
		t.Errorf("version %s", first.version)
	}
	t.Run("the same twice", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "another", "place")
		// A package's directories are what the umask of their maker says, if nobody sees to it.
		script := filepath.Join(t.TempDir(), "make")
		if err := os.WriteFile(script, []byte("#!/bin/sh\numask 077\nexec nice -n 19 make \"$@\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		command(t, first.clone, nil, "git", "clone", "--quiet", "--no-local", ".", dir)
		second := release{dir: filepath.Join(dir, "bin", "dist")}
		t.Log(command(t, dir, []string{"TZ=Asia/Kolkata", "LC_ALL=C"}, script, "--no-print-directory", "dist", "TARGETS="+distTargets))
		entries, err := os.ReadDir(second.dir)
		if err != nil {
			t.Fatal(err)
		}
		var same []string
		for _, e := range entries {
			same = append(same, e.Name())
			if !bytes.Equal(first.read(t, e.Name()), second.read(t, e.Name())) {
				t.Errorf("%s is not the same twice", e.Name())
			}
		}
		if !slices.Equal(same, first.files) {
			t.Errorf("made twice: %q, of %q", same, first.files)
		}
	})
	t.Run("all that was promised", func(t *testing.T) { first.check(t) })
	t.Run("deb", func(t *testing.T) { first.checkDeb(t) })
	t.Run("unit", func(t *testing.T) { first.checkUnit(t) })
	t.Run("rpm", func(t *testing.T) { first.checkRPM(t) })
}

func (r release) check(t *testing.T) {
	want := []string{"SHA256SUMS"}
	for _, target := range strings.Split(distTargets, ",") {
		system, arch, _ := strings.Cut(target, "/")
		name := fmt.Sprintf("typostream_%s_%s_%s", r.version, system, arch)
		archive := name + ".tar.gz"
		switch system {
		case "windows":
			archive = name + ".zip"
		case "linux":
			want = append(want, name+".deb", name+".rpm")
		}
		want = append(want, archive, name+".cdx.json")
		r.checkArchive(t, name, system, arch, r.unpack(t, archive))
	}
	if slices.Sort(want); !slices.Equal(r.files, want) {
		t.Errorf("files %q, want %q", r.files, want)
	}
	sums := string(r.read(t, "SHA256SUMS"))
	for _, name := range want[1:] {
		content := r.read(t, name)
		if line := fmt.Sprintf("%x  %s\n", sha256.Sum256(content), name); !strings.Contains(sums, line) {
			t.Errorf("SHA256SUMS does not say %s", line)
		}
		t.Logf("%s: %d bytes", name, len(content))
	}
}

// checkArchive compares an archive with the bill that lies beside it.
func (r release) checkArchive(t *testing.T, name, system, arch string, files map[string][]byte) {
	t.Helper()
	executable := "typostream"
	if system == "windows" {
		executable += ".exe"
	}
	for _, file := range []string{
		executable, "README.md", "LICENSE", "CHANGELOG.md", "THIRD_PARTY_NOTICES.txt", "man/typostream.1", "man/typostream-worker.1",
		"completions/typostream.bash", "completions/_typostream", "completions/typostream.fish", "completions/typostream.ps1",
	} {
		if len(files[name+"/"+file]) == 0 {
			t.Errorf("%s has no %s", name, file)
		}
	}
	binary := files[name+"/"+executable]
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["GOOS"] != system || settings["GOARCH"] != arch || settings["CGO_ENABLED"] != "0" || info.Main.Version != "v"+r.version {
		t.Errorf("%s: %s %v", name, info.Main.Version, settings)
	}
	t.Logf("the binary of %s: %d bytes", name, len(binary))
	var bill struct {
		SpecVersion string
		Metadata    struct {
			Component struct{ Hashes []struct{ Content string } }
		}
		Components []struct {
			Name, Version, PURL string
			Licenses            []struct{ Expression string }
		}
	}
	if err := json.Unmarshal(r.read(t, name+".cdx.json"), &bill); err != nil {
		t.Fatal(err)
	}
	if bill.SpecVersion != "1.6" || bill.Metadata.Component.Hashes[0].Content != fmt.Sprintf("%x", sha256.Sum256(binary)) {
		t.Errorf("the bill of %s is of something else", name)
	}
	want := []string{"std " + strings.TrimPrefix(info.GoVersion, "go")}
	for _, m := range info.Deps {
		want = append(want, m.Path+" "+m.Version)
	}
	var got []string
	for _, c := range bill.Components {
		got = append(got, c.Name+" "+c.Version)
		if len(c.Licenses) != 1 || c.Licenses[0].Expression == "" || !strings.HasPrefix(c.PURL, "pkg:golang/"+c.Name+"@") {
			t.Errorf("the bill of %s says of %s: %+v", name, c.Name, c)
		}
		if c.Name != "std" && !bytes.Contains(files[name+"/THIRD_PARTY_NOTICES.txt"], []byte("\n"+c.Name+" "+c.Version+", ")) {
			t.Errorf("the notices of %s have no terms of %s", name, c.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the bill of %s has %q, want %q", name, got, want)
	}
}

// unpack returns the files of an archive.
func (r release) unpack(t *testing.T, name string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	content := r.read(t, name)
	add := func(path string, from io.Reader) {
		var err error
		if files[path], err = io.ReadAll(from); err != nil {
			t.Fatalf("%s: %s: %v", name, path, err)
		}
	}
	if path.Ext(name) == ".zip" {
		archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.File {
			from, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			add(f.Name, from)
		}
		return files
	}
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(z); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		add(header.Name, archive)
	}
}

// The deb is installed into a root of its own, in which nothing else is: dpkg
// keeps its books there, and its scripts see DPKG_ROOT. The machine stays as it is.
func (r release) checkDeb(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("dpkg installs for root only")
	}
	root := t.TempDir()
	deb := filepath.Join(r.dir, fmt.Sprintf("typostream_%s_linux_%s.deb", r.version, runtime.GOARCH))
	if err := os.MkdirAll(filepath.Join(root, "var", "lib", "dpkg", "updates"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(root, "var", "lib", "dpkg", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dpkg := func(args ...string) string {
		t.Helper()
		return command(t, root, nil, "dpkg", append([]string{"--root=" + root, "--force-script-chrootless"}, args...)...)
	}
	has := func(name string, want bool) {
		t.Helper()
		_, err := os.Stat(filepath.Join(root, name))
		if there := err == nil; there != want || err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v, want %v (%v)", name, there, want, err)
		}
	}
	const settings, binary, page = "etc/typostream/typostream.env", "usr/bin/typostream", "usr/share/man/man1/typostream-worker.1.gz"
	dpkg("--install", deb)
	for _, name := range []string{settings, binary, page, "usr/lib/systemd/system/typostream.service", "usr/share/bash-completion/completions/typostream"} {
		has(name, true)
	}
	if got := command(t, root, nil, "chroot", root, "/usr/bin/typostream", "version"); got != "typostream v"+r.version+"\n" {
		t.Errorf("version: %q", got)
	}
	if got := command(t, root, nil, "chroot", root, "/usr/bin/typostream", "generate", "--fuzzers", "omission", "abc.de"); got != "bc.de\nac.de\nab.de\n" {
		t.Errorf("generate: %q", got)
	}
	unit := filepath.Join(root, "usr/lib/systemd/system/typostream.service")
	t.Log(lastLine(command(t, root, nil, "systemd-analyze", "security", "--offline=true", "--threshold=20", unit)))
	command(t, root, nil, "man", "--warnings", "--local-file", filepath.Join(root, page))

	// What the operator has written and what the worker has kept are not the package's to change.
	const line, spool = "KAFKA_BOOTSTRAP=kafka:9092\n", "var/lib/typostream/spool_20260101T000000Z.jsonl"
	if err := os.MkdirAll(filepath.Join(root, "var/lib/typostream"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{settings: line, spool: "{}\n"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	dpkg("--install", deb) // over itself
	if got, err := os.ReadFile(filepath.Join(root, settings)); err != nil || string(got) != line {
		t.Errorf("after an upgrade the settings are %q (%v)", got, err)
	}
	dpkg("--remove", "typostream")
	has(binary, false)
	has(page, false)
	has(settings, true)
	dpkg("--purge", "typostream")
	has(settings, false)
	has(spool, true)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// The rpm is read by rpm itself; it is installed into an empty root without its
// scripts, which are those of the deb.
func (r release) checkRPM(t *testing.T) {
	rpm := filepath.Join(r.dir, fmt.Sprintf("typostream_%s_linux_%s.rpm", r.version, runtime.GOARCH))
	root := t.TempDir()
	command(t, root, nil, "rpm", "--root", root, "--install", "--noscripts", "--nodeps", "--ignoreos", rpm)
	if got := command(t, root, nil, "chroot", root, "/usr/bin/typostream", "version"); got != "typostream v"+r.version+"\n" {
		t.Errorf("version: %q", got)
	}
	if got := command(t, root, nil, "rpm", "--root", root, "--query", "--configfiles", "typostream"); got != "/etc/typostream/typostream.env\n" {
		t.Errorf("config files: %q", got)
	}
	command(t, root, nil, "rpm", "--root", root, "--verify", "--nodeps", "typostream")
	command(t, root, nil, "rpm", "--root", root, "--erase", "--noscripts", "typostream")
	if _, err := os.Stat(filepath.Join(root, "usr/bin/typostream")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after its removal the binary: %v", err)
	}
}
