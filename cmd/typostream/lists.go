package main

import (
	"github.com/typostream/typostream/internal/api"
	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/pipeline"
)

// listLimit bounds each list of domains that is kept.
const listLimit = 100_000

// keptList is a list of domains that is changed over HTTP.
type keptList interface {
	api.List
	pipeline.ListStore
}

// openLists makes the lists of Redis, which several workers share, or of the state
// file, those that scans go by. Without either the allow list's file is all.
func (w *workerRun) openLists() {
	switch {
	case w.settings.RedisHost != "":
		w.shared = store.NewRedis(redisConfig(w.settings))
		w.allowed, w.denied = w.shared.List(store.Allowed, listLimit), w.shared.List(store.Denied, listLimit)
	case w.state != nil:
		w.allowed, w.denied = w.state.List(store.Allowed, listLimit), w.state.List(store.Denied, listLimit)
	}
	w.lists = pipeline.NewLists(pipeline.ListsConfig{File: w.allow.current, Allow: w.allowed, Deny: w.denied, Log: w.log})
}
