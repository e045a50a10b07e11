// Package reelflow_test checks what DESIGN says of the house: which way imports
// run, and how large things may grow.
package reelflow_test

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/reelflow/reelflow"

// rooms say which packages of the project each package may import, and why no
// more. A package that ends in /... stands for all below it.
var rooms = []struct {
	pkg string
	may []string
	why string
}{
	{"video", nil, "everyone imports video, the nouns and the wire contract: it stands on the standard library alone"},
	{"workflows", []string{"video"}, "workflows decide and touch nothing: what they want of the world is an activity, so that every history replays"},
	{"web", nil, "the pages are files; the gateway serves them"},

	{"internal/catalog", leaf, leaves},
	{"internal/vault", leaf, leaves},
	{"internal/objects", leaf, leaves},
	{"internal/sandbox/launcher", nil, "the launcher runs before everything else of its process is initialized, and so imports nothing of it"},
	{"internal/sandbox", []string{"video", "internal/sandbox/launcher"}, "the sandbox runs programs; it doesn't know what they are for"},
	{"internal/media", []string{"video", "internal/sandbox", "internal/sandbox/launcher"}, "media knows ffmpeg, and the box that it runs in"},
	{"internal/fetch", leaf, leaves},
	{"internal/config", leaf, leaves},
	{"internal/captions", leaf, leaves},
	{"internal/client", leaf, "the client library knows what any client of the API knows: the wire contract"},
	{"internal/stack", leaf, "the stack runs programs; it doesn't know what is inside them"},
	{"internal/gateway/issuer", leaf, leaves},
	{"internal/gateway/requests", leaf, "an id and a line in the log are the same for every room of the gateway"},
	{"internal/gateway/deadlines", leaf, "how long a connection may stand still is the same for every room of the gateway"},
	{"internal/gateway/turns", leaf, "that many wait for their turn is the same for every room of the gateway"},
	{"internal/gateway/problem", leaf, "how errors are answered is the same for every room of the gateway, and knows none of them"},
	{"internal/receipts", leaf, "receipts are checked by whoever doubts them, with nothing of the installation at hand"},
	{"internal/leases", []string{"video", "internal/catalog"}, "leases are rows of the catalog, kept alive; what they allow is their holder's affair"},
	{"internal/manifest", []string{"video", "internal/catalog", "internal/objects", "internal/vault", "internal/leases"}, "the manifest joins the three leaves in which sealed bytes rest"},

	{"internal/ledger", []string{"video", "internal/catalog", "internal/vault"}, "the ledger of the vault is applied to the catalog, and neither knows the other"},

	{"internal/identity", []string{"video", "internal/catalog", "internal/vault", "internal/objects"}, "the identity compares catalog, vault, stores and Temporal, and none of them knows the others"},
	{"internal/facts", []string{"video", "internal/catalog", "internal/vault", "internal/objects"}, "facts are made of the catalog's rows, and rows of what stores and vault have; what writes and who asks for it is not their affair"},

	{"activities", []string{"video", "workflows", "internal/catalog", "internal/vault", "internal/objects", "internal/media", "internal/fetch", "internal/manifest", "internal/ledger", "internal/facts", "internal/receipts"},
		"activities do what workflows ask for, by means of the leaves; they know neither HTTP nor settings"},
	{"internal/gateway/uploads", []string{"video", "internal/catalog", "internal/objects", "internal/vault", "internal/manifest", "internal/leases", "internal/gateway/problem", "internal/gateway/turns"},
		"uploads store bytes; what becomes of them the workflow decides"},
	{"internal/gateway/secret", leaf, "the gateway's keys are derived of what they are given"},
	{"internal/gateway/origin", leaf, "where a request came to and from is found in the request alone"},
	{"internal/gateway/about", []string{"video", "internal/vault"}, "what people said of a video is sealed and opened by its key, and nothing else"},
	{"internal/gateway/people", []string{"video", "internal/gateway/issuer", "internal/gateway/origin", "internal/gateway/problem", "internal/gateway/requests", "internal/gateway/secret"},
		"who sends a request is found out before anything is known of videos"},
	{"internal/gateway/creation", append([]string{"internal/catalog", "internal/vault", "internal/manifest", "internal/fetch"}, shared...),
		"creation " + apart},
	{"internal/gateway/pages", append([]string{"web"}, shared...), "the pages show what the read model gives them; pages " + apart},
	{"internal/gateway/captioning", []string{"video", "internal/captions", "internal/catalog", "internal/objects", "internal/vault", "internal/manifest"},
		"captions are stored as they are given; who may give them is found out before"},
	{"internal/gateway/playback", []string{"video", "internal/captions", "internal/catalog", "internal/objects", "internal/vault", "internal/gateway/origin", "internal/gateway/problem"},
		"playback reads what is packaged; who is signed in, and what workflows do, is not its affair"},
	{"internal/gateway", append([]string{"internal/captions", "internal/catalog", "internal/objects", "internal/vault", "internal/fetch", "internal/receipts", "internal/gateway/..."}, shared...),
		"the gateway starts workflows by name and never imports them: it can be released without them"},

	{"internal/telemetry", []string{"video", "internal/catalog", "internal/objects", "internal/vault", "internal/media"},
		"telemetry counts what passes through the parts that it wraps, and decides nothing"},

	{"worker", anything, ""},
	{"starter", anything, ""},
	{"e2e/...", anything, ""},
	{".", anything, ""},
}

var (
	leaf     = []string{"video"}
	anything = []string{"..."}
	// shared is what every room of the gateway may know.
	shared = []string{"video", "internal/gateway/problem", "internal/gateway/requests", "internal/gateway/about", "internal/gateway/people", "internal/gateway/origin", "internal/gateway/secret"}
)

const apart = "knows its surroundings by an interface of its own: no room of the gateway reaches into another"

const leaves = "leaves know one part of the world each and import only video: whoever needs two of them joins them"

// parts say where a part from outside may be known; everyone else uses it
// through the package that does.
var parts = map[string][]string{
	"gorm.io/":                        {"internal/catalog"},
	"github.com/glebarez/":            {"internal/catalog"},
	"github.com/jackc/pgx":            {"internal/catalog", "internal/vault", "internal/postgrestest"},
	"github.com/pressly/goose":        {"internal/catalog", "internal/vault"},
	"database/sql":                    {"internal/catalog"},
	"github.com/aws/":                 {"internal/objects"},
	"github.com/tus/tusd":             {"internal/gateway/uploads"},
	"github.com/danielgtaylor/huma":   {"internal/gateway", "internal/gateway/creation", "internal/gateway/pages"},
	"github.com/klauspost/compress":   {"internal/gateway"},
	"go.temporal.io/sdk/workflow":     {"workflows", "e2e/..."},
	"go.temporal.io/sdk/worker":       {"workflows", "activities", "worker", "e2e/..."},
	"go.temporal.io/sdk/activity":     {"activities", "e2e/..."},
	"go.temporal.io/":                 {"workflows", "activities", "worker", "starter", "internal/gateway", "internal/config", "internal/identity", "internal/stack", "internal/telemetry", "e2e/..."},
	"github.com/prometheus/":          {"internal/telemetry"},
	"golang.org/x/net/bpf":            {"internal/sandbox"},
	"github.com/transparency-dev/":    {"internal/vault", "internal/receipts"},
	"github.com/go-jose/":             {"internal/receipts", "internal/gateway/issuer"},
	"github.com/coreos/go-oidc":       {"internal/gateway/issuer"},
	"testing":                         nil, // only in tests and what supports them
	"github.com/Shopify/toxiproxy":    nil,
	"github.com/rogpeppe/go-internal": nil,
	"pgregory.net/rapid":              nil,
	"go.uber.org/goleak":              nil,
	"github.com/chromedp/chromedp":    nil,
	"github.com/stretchr/testify":     nil,
}

// support lists the packages that only tests use. One that isn't here is judged
// like any other, whatever its name ends in.
var support = []string{
	"internal/catalog/catalogtest", "internal/commandtest", "internal/devstacktest", "internal/openapitest", "internal/postgrestest",
	"internal/objects/objectstest", "internal/vault/vaulttest", "internal/gateway/issuer/issuertest",
}

// deterministic lists all that workflow code imports. workflowcheck finds
// time.Now and net/http, but not os.Open; so nothing else gets in at all.
var deterministic = strings.Fields(`cmp context encoding/json errors fmt maps slices strings time
	go.temporal.io/api/common/v1 go.temporal.io/api/enums/v1 go.temporal.io/sdk/converter go.temporal.io/sdk/interceptor go.temporal.io/sdk/temporal
	go.temporal.io/sdk/worker go.temporal.io/sdk/workflow ` + module + `/video`)

// impure are the functions of those packages that give another answer in a replay.
var impure = strings.Fields(`time.Now time.Since time.Until time.Sleep time.After time.AfterFunc time.Tick time.NewTimer
	time.NewTicker context.Background context.TODO`)

// source is a Go file of the main module.
type source struct {
	path, pkg string // from the root; pkg is the folder
	test      bool
	lines     int
	set       *token.FileSet
	*ast.File
}

func sources(t *testing.T) (all []source) {
	t.Helper()
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(p, "go.mod"))
			if p != "." && (nested == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(set, p, text, parser.ParseComments)
		all = append(all, source{
			path: filepath.ToSlash(p), pkg: path.Dir(filepath.ToSlash(p)), test: strings.HasSuffix(p, "_test.go"),
			lines: strings.Count(string(text), "\n"), set: set, File: f,
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d files found: this test must run at the root", len(all))
	}
	return all
}

// supports reports whether a package is there for tests.
func supports(pkg string) bool { return slices.Contains(support, pkg) }

func within(pkg string, list []string) bool {
	return slices.ContainsFunc(list, func(p string) bool {
		below, all := strings.CutSuffix(p, "...")
		return p == pkg || all && strings.HasPrefix(pkg+"/", below)
	})
}

func (s source) imports(t *testing.T) (paths []string) {
	t.Helper()
	for _, spec := range s.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

func TestImportsRunOneWay(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || supports(s.pkg) {
			continue
		}
		room := slices.IndexFunc(rooms, func(r struct {
			pkg string
			may []string
			why string
		}) bool {
			return within(s.pkg, []string{r.pkg})
		})
		if room < 0 {
			t.Errorf("%s: the package %s has no place in the house yet: give it one in rooms, with the reason", s.path, s.pkg)
			continue
		}
		for _, p := range s.imports(t) {
			if ours, ok := strings.CutPrefix(p, module+"/"); ok && !supports(ours) && !within(ours, rooms[room].may) {
				t.Errorf("%s imports %s, but %s", s.path, ours, rooms[room].why)
			}
			if s.pkg == "video" && strings.Contains(strings.Split(p, "/")[0], ".") {
				t.Errorf("%s imports %s, but %s", s.path, p, rooms[room].why)
			}
		}
	}
}

func TestOutsidePartsAreKnownInOnePlace(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || supports(s.pkg) {
			continue
		}
		for _, p := range s.imports(t) {
			if ours, ok := strings.CutPrefix(p, module+"/"); ok && supports(ours) {
				t.Errorf("%s imports %s, which is there for tests", s.path, ours)
			}
			if where, prefix := known(p); prefix != "" && !within(s.pkg, where) {
				t.Errorf("%s imports %s, which only tests and %v may know: use it through them, so that it can be replaced", s.path, p, where)
			}
		}
	}
}

// A package that is gone must leave the list: another of that name would be exempt.
func TestPackagesForTestsExist(t *testing.T) {
	all := sources(t)
	for _, pkg := range support {
		if !slices.ContainsFunc(all, func(s source) bool { return s.pkg == pkg && !s.test }) {
			t.Errorf("support lists %s, and there is no such package", pkg)
		}
	}
}

// known returns where the part that an import belongs to may be known.
func known(p string) (where []string, prefix string) {
	for part, pkgs := range parts {
		if strings.HasPrefix(p, part) && len(part) > len(prefix) {
			where, prefix = pkgs, part
		}
	}
	return where, prefix
}

func TestWorkflowsAreDeterministic(t *testing.T) {
	for _, s := range sources(t) {
		if s.pkg != "workflows" || s.test {
			continue
		}
		for _, p := range s.imports(t) {
			if !slices.Contains(deterministic, p) {
				t.Errorf("%s imports %s: workflow code runs again in every replay and must come to the same, so it imports only what is listed here", s.path, p)
			}
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			if what := nondeterministic(n); what != "" {
				t.Errorf("%s: %s comes out differently in a replay: use what the workflow package has for it", s.set.Position(n.Pos()), what)
			}
			return true
		})
	}
}

func nondeterministic(n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "a go statement"
	case *ast.SelectStmt:
		return "a select statement"
	case *ast.ChanType:
		return "a channel"
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); ok && slices.Contains(impure, x.Name+"."+n.Sel.Name) {
			return x.Name + "." + n.Sel.Name
		}
	}
	return ""
}

// The order in which Go visits a map is another one each time, and nothing but the
// types tells that a range visits a map.
func TestWorkflowsVisitNoMapInItsOwnOrder(t *testing.T) {
	var files []*ast.File
	var set *token.FileSet
	for _, s := range sources(t) {
		if s.pkg == "workflows" && !s.test {
			files, set = append(files, s.File), s.set
		}
	}
	for _, pos := range unordered(t, set, "workflows", files) {
		t.Errorf("%s: a map is visited in an order that the next replay doesn't have: range over slices.Sorted(maps.Keys(m))", set.Position(pos))
	}
}

// unordered type-checks a package, which imports no more than workflows does, and
// returns where it visits a map unsorted: by range, or by an iterator that
// slices.Sorted doesn't put in order. maps.DeleteFunc, Copy and Clone come to the
// same in any order.
func unordered(t *testing.T, set *token.FileSet, pkg string, files []*ast.File) (found []token.Pos) {
	t.Helper()
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(set, "gc", compiled)}
	if _, err := config.Check(module+"/"+pkg, set, files, info); err != nil {
		t.Fatal(err)
	}
	uses := func(e ast.Expr, functions ...string) bool {
		selector, ok := ast.Unparen(e).(*ast.SelectorExpr)
		if !ok || info.Uses[selector.Sel] == nil || info.Uses[selector.Sel].Pkg() == nil {
			return false
		}
		return slices.Contains(functions, info.Uses[selector.Sel].Pkg().Path()+"."+selector.Sel.Name)
	}
	sorted := map[ast.Expr]bool{}
	visit := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.RangeStmt:
			if _, ok := info.TypeOf(n.X).Underlying().(*types.Map); ok {
				found = append(found, n.Pos())
			}
		case *ast.CallExpr: // comes before what is in it
			if !uses(n.Fun, "slices.Sorted") {
				break
			}
			if call, ok := n.Args[0].(*ast.CallExpr); ok {
				sorted[call.Fun] = true
			}
		case *ast.SelectorExpr:
			if uses(n, "maps.Keys", "maps.Values", "maps.All") && !sorted[n] {
				found = append(found, n.Pos())
			}
		}
		return true
	}
	for _, f := range files {
		ast.Inspect(f, visit)
	}
	return found
}

// compiled opens the export data of a package that workflows imports.
func compiled(pkg string) (io.ReadCloser, error) {
	files, err := exports()
	if err != nil {
		return nil, err
	}
	return os.Open(files[pkg])
}

var exports = sync.OnceValues(func() (map[string]string, error) {
	out, err := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "./workflows").Output()
	if err != nil {
		return nil, fmt.Errorf("go list -export: %w", err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		pkg, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[pkg] = file
	}
	return files, nil
})

func TestNothingGrowsTooLarge(t *testing.T) {
	const longestFunction, longestFile = 80, 500
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if s.lines > longestFile {
			t.Errorf("%s has %d lines; over %d nobody finds anything in it: split it by what it is about", s.path, s.lines, longestFile)
		}
		for _, d := range s.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				if n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1; n > longestFunction {
					t.Errorf("%s: %s has %d lines; over %d it does more than one thing", s.path, f.Name.Name, n, longestFunction)
				}
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	said := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test {
			said[s.pkg] = said[s.pkg] || s.Doc != nil && len(s.Doc.Text()) > 40
		}
	}
	for pkg, ok := range said {
		if !ok {
			t.Errorf("the package %s has no comment that says what exists there, where, and when it goes", pkg)
		}
	}
}

// A rule that nothing could break would be no rule.
func TestRulesWouldNotice(t *testing.T) {
	for _, row := range []struct {
		pkg, imported string
		may           bool
	}{
		{"internal/gateway", "workflows", false}, {"workflows", "activities", false}, {"internal/catalog", "internal/vault", false},
		{"internal/gateway/creation", "internal/gateway/uploads", false}, {"internal/gateway/pages", "internal/gateway/creation", false},
		{"internal/gateway/people", "internal/gateway/about", false}, {"internal/gateway", "internal/gateway/pages", true},
		{"activities", "workflows", true}, {"worker", "workflows", true}, {"e2e/bench", "activities", true}, {"video", "workflows", false},
	} {
		for _, r := range rooms {
			if within(row.pkg, []string{r.pkg}) && within(row.imported, r.may) != row.may {
				t.Errorf("%s may import %s: %v", row.pkg, row.imported, !row.may)
			}
		}
	}
	f, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc f() { go f(); _ = time.Now(); select {}; var c chan int; _ = c }", 0)
	if err != nil {
		t.Fatal(err)
	}
	found := ""
	ast.Inspect(f, func(n ast.Node) bool { found += fmt.Sprint(nondeterministic(n), ";"); return true })
	for _, what := range []string{"go statement", "time.Now", "select statement", "channel"} {
		if !strings.Contains(found, what) {
			t.Errorf("%s is not noticed", what)
		}
	}
}

func TestUnsortedMapsWouldBeNoticed(t *testing.T) {
	for _, row := range []struct {
		body  string
		found int
	}{
		{"for range m {}", 1}, {"for k, v := range m { _, _ = k, v }", 1}, {"type named map[string]int; for range named(m) {}", 1},
		{"for range maps.Keys(m) {}", 1}, {"for range maps.All(m) {}", 1}, {"visit := maps.Values[map[string]int]; for range visit(m) {}", 1},
		{"_ = slices.Collect(maps.Keys(m))", 1}, {"_ = slices.SortedFunc(maps.Values(m), compare)", 1}, // equals stay as they came
		{"for range slices.Sorted(maps.Keys(m)) {}", 0}, {"_ = slices.Sorted(maps.Values(m))", 0},
		{"maps.DeleteFunc(m, func(string, int) bool { return true })", 0}, {"for range list {}", 0},
	} {
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, "p.go", `package p
			import ("maps"; "slices"; "strings")
			var _, _, _ = maps.Clone[map[string]int], slices.Sort[[]int], strings.Cut
			func compare(a, b int) int { return 0 }
			func f(m map[string]int, list []string) { `+row.body+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		if found := unordered(t, set, "p", []*ast.File{f}); len(found) != row.found {
			t.Errorf("%s: %d places are noticed, and %d are there", row.body, len(found), row.found)
		}
	}
}
