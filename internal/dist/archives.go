package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A file of an archive or package.
type file struct {
	path    string // with slashes, relative
	mode    os.FileMode
	content []byte
}

// archives builds for every target and writes to dir an archive and a bill of
// materials for each, for Linux a deb and an rpm if there is nfpm, and the
// checksums of all. What was in dir is removed.
func (d *dist) archives(ctx context.Context, targets []target, dir string) error {
	work, err := os.MkdirTemp("", "typostream-dist-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	modules, err := d.linked(ctx, parseTargets(systems)) // the same notices everywhere
	if err != nil {
		return err
	}
	docs, err := d.documents(ctx, work, notices(modules))
	if err != nil {
		return err
	}
	for _, t := range targets {
		folder := filepath.Join(work, t.os+"-"+t.arch)
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
		b, err := d.build(ctx, t, folder)
		if err != nil {
			return err
		}
		if err := d.handOut(ctx, b, docs, modules, dir); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	return d.checksums(dir)
}

// handOut writes what there is for one target.
func (d *dist) handOut(ctx context.Context, b built, docs []file, modules []module, dir string) error {
	binary, err := os.ReadFile(b.path)
	if err != nil {
		return err
	}
	bill, err := billOfMaterials(b, binary, modules)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("typostream_%s_%s_%s", b.version(), b.os, b.arch)
	if err := os.WriteFile(filepath.Join(dir, name+".cdx.json"), bill, 0o644); err != nil {
		return err
	}
	files := append([]file{{b.executable(), 0o755, binary}}, docs...)
	suffix, pack := ".tar.gz", tarball
	if b.os == "windows" {
		suffix, pack = ".zip", zipped
	}
	content, err := pack(name, files, b.time())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, name+suffix), content, 0o644); err != nil {
		return err
	}
	if b.os == "linux" && d.nfpm != "" {
		return d.packages(ctx, b, files, dir)
	}
	return nil
}

var manualOfCommand = regexp.MustCompile(`typostream\\-([a-z]+)\\fR\(1\)`)

// documents are the files that go with every binary, sorted by path: texts, and
// what the binary says of itself.
func (d *dist) documents(ctx context.Context, work string, notices []byte) ([]file, error) {
	b, err := d.build(ctx, host(), work)
	if err != nil {
		return nil, err
	}
	files := []file{{"THIRD_PARTY_NOTICES.txt", 0o644, notices}}
	for _, name := range []string{"CHANGELOG.md", "LICENSE", "README.md"} {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, 0o644, content})
	}
	say := func(path string, args ...string) ([]byte, error) {
		content, err := b.output(ctx, args...)
		files = append(files, file{path, 0o644, content})
		return content, err
	}
	for shell, name := range map[string]string{"bash": "typostream.bash", "zsh": "_typostream", "fish": "typostream.fish", "pwsh": "typostream.ps1"} {
		if _, err := say("completions/"+name, "completion", shell); err != nil {
			return nil, err
		}
	}
	page, err := say("man/typostream.1", "man")
	if err != nil {
		return nil, err
	}
	done := map[string]bool{}
	for _, m := range manualOfCommand.FindAllSubmatch(page, -1) {
		name := string(m[1])
		if done[name] {
			continue
		}
		done[name] = true
		if _, err := say("man/typostream-"+name+".1", "man", name); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.path, b.path) })
	return files, nil
}

// tarball packs files into a folder of that name, all of one time and of root.
func tarball(folder string, files []file, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(z)
	for _, f := range files {
		if err := t.WriteHeader(&tar.Header{Name: path.Join(folder, f.path), Mode: int64(f.mode), Size: int64(len(f.content)), ModTime: at, Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := t.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}

// zipped is tarball as a zip archive.
func zipped(folder string, files []file, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		header := &zip.FileHeader{Name: path.Join(folder, f.path), Method: zip.Deflate, Modified: at}
		header.SetMode(f.mode)
		w, err := z.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}

// checksums writes SHA256SUMS, which sha256sum -c reads, and tells the sizes.
func (d *dist) checksums(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, e := range entries {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		sum := sha256.New()
		n, err := io.Copy(sum, f)
		if err = cmp.Or(err, f.Close()); err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sum.Sum(nil), e.Name())
		fmt.Fprintf(d.stdout, "%10d  %s\n", n, e.Name())
	}
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(sums.String()), 0o644)
}
