// Package layout has no code: its tests keep the rules on who may import and
// touch what, which the compiler does not know.
package layout

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/typostream/typostream"
	root   = "../.."
)

// A file is a Go file that is no test.
type file struct {
	path    string // from the module's root, with slashes
	imports map[string]string
	*ast.File
}

// parse reads every Go file of the module that is no test. imports is by the name that the file uses.
func parse(t *testing.T) (*token.FileSet, []file) {
	t.Helper()
	set := token.NewFileSet()
	var files []file
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(set, p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		f := file{path: filepath.ToSlash(rel), imports: map[string]string{}, File: parsed}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			name := path.Base(imported)
			if spec.Name != nil {
				name = spec.Name.Name
			}
			f.imports[name] = imported
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go files found")
	}
	return set, files
}

// process is what belongs to the whole process. Only the main.go of a command takes it, and passes it on.
var process = map[string][]string{
	"os":  {"Args", "Environ", "Exit", "Getenv", "LookupEnv", "Stderr", "Stdin", "Stdout"},
	"fmt": {"Print", "Printf", "Println"},
	"log": {"Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln", "Print", "Printf", "Println"},
}

// exempt are files that may name some of it all the same.
var exempt = map[string][]string{
	"internal/kafkatest/install.go": {"os.Getenv"}, // finds Java and the jars for tests, which have no main.go
}

func TestOnlyMainTouchesTheProcess(t *testing.T) {
	set, files := parse(t)
	for _, f := range files {
		if f.Name.Name == "main" && path.Base(f.path) == "main.go" {
			continue
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			imported := f.imports[x.Name]
			name := imported + "." + sel.Sel.Name
			if slices.Contains(process[imported], sel.Sel.Name) && !slices.Contains(exempt[f.path], name) {
				t.Errorf("%s: %s belongs to a command's main.go", position(set, n), name)
			}
			return true
		})
	}
}

func position(set *token.FileSet, n ast.Node) string {
	p := set.Position(n.Pos())
	rel, err := filepath.Rel(root, p.Filename)
	if err != nil {
		rel = p.Filename
	}
	return fmt.Sprintf("%s:%d", filepath.ToSlash(rel), p.Line)
}

// A stage knows nothing of the other stages, of who drives them, or of what is beside them.
func TestStagesDoNotKnowEachOther(t *testing.T) {
	_, files := parse(t)
	stages := []string{"fuzzer", "resolver", "emitter"}
	for _, f := range files {
		top, _, _ := strings.Cut(f.path, "/")
		if !slices.Contains(stages, top) {
			continue
		}
		for _, imported := range f.imports {
			rest, ours := strings.CutPrefix(imported, module+"/")
			other, _, _ := strings.Cut(rest, "/")
			if ours && other != top {
				t.Errorf("%s imports %s", f.path, imported)
			}
		}
	}
}

func TestPackageNames(t *testing.T) {
	_, files := parse(t)
	empty := []string{"util", "utils", "common", "helper", "helpers", "manager", "models", "misc", "shared"}
	for _, f := range files {
		if slices.Contains(empty, f.Name.Name) {
			t.Errorf("%s: package %s is named for nothing in particular", f.path, f.Name.Name)
		}
	}
}

// What only tests and the demo use is not in the product: the second Kafka client, the in-process servers.
func TestProductIsFreeOfTestCode(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/typostream")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		test := strings.HasPrefix(dep, module) && strings.HasSuffix(dep, "test")
		if test || dep == "testing" || strings.HasPrefix(dep, "github.com/twmb/franz-go") {
			t.Errorf("the product links %s", dep)
		}
	}
}
