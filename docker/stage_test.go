//go:build image

package docker

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// golang stands in for the official image of Go: it has this machine's /usr,
// release of Go and caches. That image begins with empty caches and asks a proxy.
const golang = `FROM scratch
COPY . /
ENV PATH=/go/bin:%s/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin GOTOOLCHAIN=local GOPATH=/go
ENV GOMODCACHE=/caches/modules GOCACHE=/caches/build GOPROXY=off
`

// What is built inside, by the stage that needs a registry, is byte for byte
// what make builds outside. GOCACHE=$(mktemp -d) compiles everything inside,
// which takes minutes; else what this machine has compiled is linked again.
func TestImageBuiltInside(t *testing.T) {
	i := newStore(t)
	base := t.TempDir()
	for _, dir := range []string{"caches", "etc", "go", "proc", "root", "sys", "tmp", "usr"} {
		if err := os.Mkdir(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"bin", "lib", "lib64", "sbin"} {
		if err := os.Symlink("usr/"+link, filepath.Join(base, link)); err != nil {
			t.Fatal(err)
		}
	}
	i.output("go", "mod", "download") // what the build alone needs is less
	host := strings.Fields(i.output("go", "env", "GOROOT", "GOMODCACHE", "GOCACHE"))
	recipe := filepath.Join(t.TempDir(), "Dockerfile")
	if err := os.WriteFile(recipe, fmt.Appendf(nil, golang, host[0]), 0o644); err != nil {
		t.Fatal(err)
	}
	bud := []string{"bud", "--isolation", "chroot", "--format", "docker", "--pull-never"}
	i.output("buildah", append(bud, "-f", recipe, "-t", "golang:1.26", base)...)

	clone := filepath.Join(t.TempDir(), "typostream")
	i.output("git", "clone", "--quiet", "--no-local", "..", clone)
	volumes := []string{"/usr:/usr:ro", host[1] + ":/caches/modules", host[2] + ":/caches/build"}
	if !strings.HasPrefix(host[0], "/usr/") {
		volumes = append(volumes, host[0]+":"+host[0]+":ro")
	}
	for _, v := range volumes {
		bud = append(bud, "--volume", v)
	}
	i.output("buildah", append(bud, "-f", filepath.Join(clone, "docker", "Dockerfile"), "-t", "typostream-inside", clone)...)
	i.open("typostream-inside")
	i.output("make", "-C", clone, "--no-print-directory", "image-root")
	inside, outside := sums(t, i.root), sums(t, filepath.Join(clone, "bin", "image", "root"))
	if len(outside) == 0 || !maps.Equal(inside, outside) {
		t.Errorf("built inside: %v\noutside: %v", inside, outside)
	}
}

// sums are those of the files below a directory.
func sums(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(root, path))
		files[path] = fmt.Sprintf("%x", sha256.Sum256(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
