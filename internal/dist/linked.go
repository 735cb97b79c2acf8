package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// std names Go's own library among the modules.
const std = "std"

// module is one that is linked, with its licences.
type module struct {
	path, version, dir string
	licences           []licence
}

// licence is a file of a module that tells on which terms it is used.
type licence struct {
	file string // below the module, with slashes
	id   string // by SPDX; "" for what comes beside a licence, such as NOTICE
	text string
}

// linked returns the modules that some of the targets link, but for our own, by
// path; with every file of terms between a linked package and its module's root.
func (d *dist) linked(ctx context.Context, targets []target) ([]module, error) {
	found := map[string]*module{}
	for _, t := range targets {
		if err := d.addLinked(ctx, t, found); err != nil {
			return nil, fmt.Errorf("what %s links: %w", t, err)
		}
	}
	modules := make([]module, 0, len(found))
	for _, m := range found {
		if !slices.ContainsFunc(m.licences, func(l licence) bool { return l.id != "" }) {
			return nil, fmt.Errorf("%s has no licence in %s", m.path, m.dir)
		}
		slices.SortFunc(m.licences, func(a, b licence) int { return strings.Compare(a.file, b.file) })
		modules = append(modules, *m)
	}
	slices.SortFunc(modules, func(a, b module) int { return strings.Compare(a.path, b.path) })
	return modules, nil
}

func (d *dist) addLinked(ctx context.Context, t target, found map[string]*module) error {
	args := []string{"list", "-deps", "-json=ImportPath,Dir,Standard,Module"}
	for _, flag := range d.flags {
		if strings.HasPrefix(flag, "-tags=") {
			args = append(args, flag)
		}
	}
	out, err := d.tool(ctx, t, append(args, command)...).Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	root, err := goroot(ctx)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p struct {
			ImportPath, Dir string
			Standard        bool
			Module          *struct {
				Path, Version, Dir string
				Main               bool
			}
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		m := module{path: std, dir: root}
		from := root
		switch {
		case p.Standard:
		case p.Module == nil:
			return fmt.Errorf("%s is of no module", p.ImportPath)
		case p.Module.Main:
			continue
		default:
			m, from = module{path: p.Module.Path, version: p.Module.Version, dir: p.Module.Dir}, p.Dir
		}
		if found[m.path] == nil {
			found[m.path] = &m
		}
		if err := found[m.path].addTerms(from); err != nil {
			return err
		}
	}
}

// goroot is where Go is, its licence in it.
func goroot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	return strings.TrimSpace(string(out)), err
}

var termsFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|unlicense)([._-].*)?$`)

// addTerms adds the files of terms from a package's directory up to the
// module's root.
func (m *module) addTerms(dir string) error {
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.IsDir() || !termsFile.MatchString(e.Name()) || filepath.Ext(e.Name()) == ".go" {
				continue
			}
			if err := m.addFile(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
		if dir == m.dir {
			return nil
		}
		if dir = filepath.Dir(dir); len(dir) < len(m.dir) {
			return fmt.Errorf("%s is not below %s", dir, m.dir)
		}
	}
}

func (m *module) addFile(path string) error {
	rel, err := filepath.Rel(m.dir, path)
	if err != nil {
		return err
	}
	l := licence{file: filepath.ToSlash(rel)}
	if slices.ContainsFunc(m.licences, func(other licence) bool { return other.file == l.file }) {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	l.text = string(text)
	base := strings.ToLower(filepath.Base(path))
	if !strings.HasPrefix(base, "notice") && !strings.HasPrefix(base, "patents") {
		if l.id = identify(l.text); l.id == "" {
			return fmt.Errorf("%s of %s is no licence that typostream may be given away with, or not known to be one", l.file, m.path)
		}
	}
	m.licences = append(m.licences, l)
	return nil
}

// terms tell the licences apart that are welcome here. The first whose phrases
// all occur counts.
var terms = []struct {
	id      string
	phrases []string
}{
	{"Apache-2.0", []string{"apache license", "version 2.0"}},
	{"MPL-2.0", []string{"mozilla public license", "2.0"}},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "endorse or promote"}},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms", "reproduce the above copyright"}},
	{"MIT", []string{"permission is hereby granted, free of charge", "the above copyright notice and this permission notice"}},
	{"ISC", []string{"permission to use, copy, modify, and", "for any purpose with or without fee"}},
}

// identify returns the SPDX identifier of a licence; of several in one file,
// which is usual where code came from elsewhere, all of them; "" for one that is
// not welcome or not known.
func identify(text string) string {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	for _, unwelcome := range []string{"gnu general public license", "gnu affero", "gnu lesser"} {
		if strings.HasPrefix(text, unwelcome) {
			return ""
		}
	}
	var ids []string
	for _, t := range terms {
		if t.id == "BSD-2-Clause" && slices.Contains(ids, "BSD-3-Clause") {
			continue
		}
		if !slices.ContainsFunc(t.phrases, func(p string) bool { return !strings.Contains(text, p) }) {
			ids = append(ids, t.id)
		}
	}
	return strings.Join(ids, " AND ")
}
