package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Where the files of an archive belong on a Linux system. What is missing here
// is in docker/package/nfpm.yaml.
var places = map[string]string{
	"typostream":                  "usr/bin/typostream",
	"CHANGELOG.md":                "usr/share/doc/typostream/CHANGELOG.md",
	"README.md":                   "usr/share/doc/typostream/README.md",
	"LICENSE":                     "usr/share/doc/typostream/copyright",
	"THIRD_PARTY_NOTICES.txt":     "usr/share/doc/typostream/THIRD_PARTY_NOTICES.txt",
	"completions/typostream.bash": "usr/share/bash-completion/completions/typostream",
	"completions/typostream.fish": "usr/share/fish/vendor_completions.d/typostream.fish",
	"completions/_typostream":     "_typostream",
}

// packages makes the deb and the rpm of a Linux binary with nfpm.
func (d *dist) packages(ctx context.Context, b built, files []file, dir string) error {
	stage, err := os.MkdirTemp("", "typostream-package-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	for name, place := range map[string]string{"typostream.service": "usr/lib/systemd/system/typostream.service", "typostream.env": "typostream.env"} {
		content, err := os.ReadFile(filepath.Join("docker", "package", name))
		if err != nil {
			return err
		}
		if err := stageFile(stage, place, 0o644, content, b.time()); err != nil {
			return err
		}
	}
	for _, f := range files {
		place, content := places[f.path], f.content
		if page, ok := strings.CutPrefix(f.path, "man/"); ok {
			place = "usr/share/man/man1/" + page + ".gz"
			if content, err = zippedPage(content); err != nil {
				return err
			}
		}
		if place == "" {
			continue // PowerShell looks nowhere by itself
		}
		if err := stageFile(stage, place, f.mode, content, b.time()); err != nil {
			return err
		}
	}
	for _, kind := range []string{"deb", "rpm"} {
		target := filepath.Join(dir, fmt.Sprintf("typostream_%s_%s_%s.%s", b.version(), b.os, b.arch, kind))
		cmd := exec.CommandContext(ctx, d.nfpm, "package", "--config", "docker/package/nfpm.yaml", "--packager", kind, "--target", target)
		cmd.Env = append(cmd.Environ(), "STAGE="+stage, "ARCH="+b.arch, "VERSION="+b.version(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(b.time().Unix(), 10))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("nfpm: %w\n%s", err, out)
		}
	}
	return nil
}

// stageFile writes a file below stage with all that a package tells of it and
// of its folders, whatever the umask is.
func stageFile(stage, place string, mode os.FileMode, content []byte, at time.Time) error {
	path := filepath.Join(stage, filepath.FromSlash(place))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	for folder := filepath.Dir(path); folder != stage; folder = filepath.Dir(folder) {
		if err := os.Chmod(folder, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		return err
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	return os.Chtimes(path, at, at)
}

// zippedPage is a manual page as man reads it, compressed without a time.
func zippedPage(page []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(page); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}
