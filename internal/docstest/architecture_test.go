package docstest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The map of the document names only what exists, and leaves no package out.
func TestFileMap(t *testing.T) {
	text := section(t, readDocument(t, "docs/ARCHITECTURE.md"), "## File map")
	var folders []string
	for _, row := range table(text) {
		path := row[0]
		info, err := os.Stat(filepath.Join(root, filepath.FromSlash(path)))
		switch isFolder := strings.HasSuffix(path, "/"); {
		case err != nil:
			t.Errorf("the map names %s: %v", path, err)
		case info.IsDir() != isFolder:
			t.Errorf("the map names %s; a folder ends in /, a file does not", path)
		case isFolder:
			folders = append(folders, strings.TrimSuffix(path, "/"))
		}
		if len(row) < 2 || row[1] == "" {
			t.Errorf("the map says nothing of %s", path)
		}
	}
	for _, folder := range packageFolders(t) {
		if !slices.Contains(folders, folder) {
			t.Errorf("the map does not name the folder %s/", folder)
		}
	}
}

// Other Go files that the document names exist too.
func TestNamedFilesExist(t *testing.T) {
	name := regexp.MustCompile("`([a-z]+/[a-z/_]*[a-z_]+\\.(go|txt|json|yaml|md))`")
	for _, document := range []string{"README.md", "docs/ARCHITECTURE.md", "docs/EVENTS.md", "docs/FUZZERS.md", "docs/OPERATIONS.md"} {
		for _, m := range name.FindAllStringSubmatch(readDocument(t, document), -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s names %s: %v", document, m[1], err)
			}
		}
	}
}

// packageFolders are all folders with Go files.
func packageFolders(t *testing.T) []string {
	t.Helper()
	var folders []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := path != root && strings.HasPrefix(d.Name(), ".")
		if d.IsDir() && (hidden || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "out") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			folder, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			if folder = filepath.ToSlash(folder); !slices.Contains(folders, folder) {
				folders = append(folders, folder)
			}
		}
		return nil
	})
	if err != nil || len(folders) == 0 {
		t.Fatalf("no packages found: %v", err)
	}
	return folders
}
