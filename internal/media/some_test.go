package media

import (
	"cmp"
	"hash/fnv"
	"iter"
	"maps"
	"os"
	"slices"
	"testing"
)

// some of a long list of inputs: all with SOAK, else a third and with -short a ninth, at
// least one; by their names, so that they are always the same.
func some[V any](all map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, name := range chosen(slices.Collect(maps.Keys(all))) {
			if !yield(name, all[name]) {
				return
			}
		}
	}
}

func chosen(names []string) []string {
	share := 3
	switch {
	case os.Getenv("SOAK") != "":
		share = 1
	case testing.Short():
		share = 9
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(hash(a), hash(b)), cmp.Compare(a, b)) })
	return names[:(len(names)+share-1)/share]
}

func hash(name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(name))
	return h.Sum32()
}
