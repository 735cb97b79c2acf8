package main

import (
	"bytes"
	"encoding/pem"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The go command works on the module, as it does for `make dist`.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// makefileFlags are the flags of go build that `make` passes.
func makefileFlags(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	tags := regexp.MustCompile(`(?m)^TAGS +\?= (\S+)$`).FindSubmatch(text)
	build := regexp.MustCompile(`(?m)^BUILD += (.+)$`).FindSubmatch(text)
	if tags == nil || build == nil {
		t.Fatal("the Makefile does not say how to build")
	}
	return strings.Fields(strings.ReplaceAll(string(build[1]), "$(TAGS)", string(tags[1])))
}

// Every package that some target links is of a module that the notices name,
// with a licence. The packages come from another question to Go than the
// notices'.
func TestNoticesAreComplete(t *testing.T) {
	d := &dist{flags: makefileFlags(t), stdout: t.Output(), stderr: t.Output()}
	targets := parseTargets(systems)
	modules, err := d.linked(t.Context(), targets)
	if err != nil {
		t.Fatal(err)
	}
	text := string(notices(modules))
	linked := 0
	for _, target := range targets {
		cmd := d.tool(t.Context(), target, "list", "-deps", "-f", `{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}`)
		cmd.Args = append(cmd.Args, command)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		for name := range strings.Lines(string(out)) {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			linked++
			_, terms, _ := strings.Cut(text, strings.Repeat("=", 80)+"\n"+name+", ")
			if _, terms, _ = strings.Cut(terms, "\n"); identify(strings.SplitN(terms, strings.Repeat("=", 80), 2)[0]) == "" {
				t.Errorf("%s links %s, and the notices have no licence of it", target, name)
			}
		}
	}
	if linked == 0 || !strings.Contains(text, "The Go standard library and runtime  BSD-3-Clause\n") {
		t.Errorf("%d packages linked; the notices begin\n%.3000s", linked, text)
	}
}

func TestIdentify(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004":        "Apache-2.0",
		"Mozilla Public License Version 2.0":                  "MPL-2.0",
		"GNU GENERAL PUBLIC LICENSE\n Version 3":              "",
		"GNU LESSER GENERAL PUBLIC LICENSE\n Version 2.1":     "",
		"All rights reserved. No part may be given to others": "",
		"": "",
		"Redistribution and use in source and binary forms: retain … must reproduce the above copyright":                                   "BSD-2-Clause",
		"Redistribution and use in source\nand binary forms: retain … must reproduce the above copyright … to endorse or promote products": "BSD-3-Clause",
		"Permission is hereby granted, free of charge, … The above copyright notice and this permission notice":                            "MIT",
		"Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee":                             "ISC",
	} {
		if got := identify(text); got != want {
			t.Errorf("identify(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestRootCertificates(t *testing.T) {
	n, rest := 0, rootCertificates()
	for len(bytes.TrimSpace(rest)) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatal("not only certificates")
		}
		n++
	}
	if n < 100 {
		t.Errorf("%d authorities", n)
	}
}
