// Command suffixes writes fuzzer/suffixes_icann.txt: the public suffixes of
// several labels in the ICANN section of the list that golang.org/x/net holds.
// That package answers questions about one name, and at a price that shows when
// millions are asked about; it hands out no list. Its tests do, and they are
// part of every copy of the module.
//
// Run it by go generate ./fuzzer after golang.org/x/net was updated.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: suffixes FILE")
		os.Exit(2)
	}
	text, err := table()
	if err == nil {
		err = os.WriteFile(os.Args[1], text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "suffixes:", err)
		os.Exit(1)
	}
}

// table returns the content of the file. Its first line names the version.
func table() ([]byte, error) {
	rules, err := rules()
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, rule := range rules {
		if strings.Contains(rule, ".") && isICANN(rule) {
			lines = append(lines, rule)
		}
	}
	slices.Sort(lines)
	var text bytes.Buffer
	fmt.Fprintf(&text, "# %s\n", publicsuffix.List)
	fmt.Fprintln(&text, "# ICANN section, suffixes of several labels; made by go generate. Facts of the public suffix list, MPL-2.0.")
	for _, line := range lines {
		fmt.Fprintln(&text, line)
	}
	return text.Bytes(), nil
}

// isICANN reports whether x/net takes what the rule names for an ICANN suffix.
// An exception (!www.ck) names none.
func isICANN(rule string) bool {
	if rule[0] == '!' {
		return false
	}
	name := strings.Replace(rule, "*", "0-any-0", 1)
	suffix, icann := publicsuffix.PublicSuffix(name)
	return icann && suffix == name
}

// rules reads all rules out of x/net's tests.
func rules() ([]string, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/net").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	path := filepath.Join(strings.TrimSpace(string(dir)), "publicsuffix", "table_test.go")
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		return nil, err
	}
	object := file.Scope.Lookup("rules")
	if object == nil {
		return nil, fmt.Errorf("%s: no variable rules", path)
	}
	spec, ok := object.Decl.(*ast.ValueSpec)
	if !ok || len(spec.Values) != 1 {
		return nil, fmt.Errorf("%s: rules is not what it was", path)
	}
	var list []string
	var bad error
	ast.Inspect(spec.Values[0], func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			rule, err := strconv.Unquote(literal.Value)
			if err != nil {
				bad = err
			}
			list = append(list, rule)
		}
		return true
	})
	return list, bad
}
