package playback

import (
	"container/list"
	"context"
	"encoding/hex"
	"encoding/json"
	"path"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/reelflow/reelflow/internal/catalog"
	"github.com/reelflow/reelflow/video"
)

// factsSize bounds the memory for facts, in bytes. A film of 15 minutes in four
// renditions takes about half a megabyte.
const factsSize = 32 << 20

// loadTime bounds a read of facts, which several requests may wait for.
const loadTime = 10 * time.Second

// object is what of a row of the manifest is needed to read it.
type object struct {
	key, version string
	size         int64 // bytes in the store
	plainSize    int64 // bytes before sealing
	etag         string
}

func objectOf(o catalog.Object) object {
	tag := hex.EncodeToString(o.SHA256)
	if tag == "" {
		tag = path.Base(o.Key) + " " + o.Version // as unique: no key is written twice
	}
	return object{o.Key, o.Version, o.Size, o.PlainSize, `"` + tag + `"`}
}

// packaged is what a video was packaged into, as one revision of its row has it: the
// row changes after each change of its segments and pictures, so that what was read
// after a revision is true for as long as that stands.
type packaged struct {
	revision  int64
	playlists map[string][]byte            // the text, by name without extension; "master" leads to the others
	segments  map[string]map[string]object // by rendition and the name in the address
	poster    *object
	previews  []object
	captions  map[string]object // by language
	languages []string          // of captions, in the order of their tags
	cues      []byte            // previews as WebVTT; empty if the layout is not known
	size      int64             // bytes of memory, about
}

func packagedOf(row catalog.Video, objects []catalog.Object) (*packaged, error) {
	p := &packaged{revision: row.Revision, playlists: map[string][]byte{}, segments: map[string]map[string]object{}, captions: map[string]object{}}
	renditions := map[string][]catalog.Object{}
	for _, o := range objects {
		o.Video = row.ID
		fact := objectOf(o)
		p.size += int64(len(fact.key)+len(fact.version)+len(fact.etag)) + 200
		switch o.Kind {
		case catalog.KindPoster:
			p.poster = &fact
		case catalog.KindPreview:
			p.previews = append(p.previews, fact)
		case catalog.KindCaption:
			p.captions[o.Rendition] = fact
			p.languages = append(p.languages, o.Rendition) // the catalog has them in order
		case catalog.KindSegment:
			renditions[o.Rendition] = append(renditions[o.Rendition], o)
			if p.segments[o.Rendition] == nil {
				p.segments[o.Rendition] = map[string]object{}
			}
			p.segments[o.Rendition][path.Base(o.Key)] = fact
		}
	}
	return p, p.render(row, renditions)
}

// render writes all texts.
func (p *packaged) render(row catalog.Video, renditions map[string][]catalog.Object) error {
	if len(renditions) == 0 {
		return nil
	}
	for name, segments := range renditions {
		p.playlists[name] = []byte(mediaPlaylist(segments))
	}
	for _, language := range p.languages {
		p.playlists[captionPrefix+language] = []byte(captionPlaylist(language, playingTime(renditions)))
	}
	master, err := masterPlaylist(row, renditions, p.languages)
	if err != nil {
		return err
	}
	p.playlists[masterName] = []byte(master)
	var media struct {
		video.Media
		Previews video.Previews `json:"previews"`
	}
	if len(row.Media) > 0 {
		if err := json.Unmarshal(row.Media, &media); err != nil {
			return err
		}
	}
	if len(p.previews) > 0 {
		p.cues = []byte(previewCues(media.Previews, media.DurationSeconds))
	}
	for _, text := range p.playlists {
		p.size += int64(len(text))
	}
	p.size += int64(len(p.cues))
	return nil
}

// facts remembers what videos were packaged into, the latest asked for, in bounded
// memory.
type facts struct {
	catalog Catalog
	store   string
	limit   int64
	loads   singleflight.Group

	mu     sync.Mutex
	size   int64
	known  map[video.ID]*list.Element
	recent *list.List // of *fact, the latest first
}

type fact struct {
	id video.ID
	*packaged
}

func newFacts(c Catalog, store string, limit int64) *facts {
	return &facts{catalog: c, store: store, limit: limit, known: map[video.ID]*list.Element{}, recent: list.New()}
}

// of returns what a video was packaged into by this revision, or a later one. A
// video that isn't packaged has nothing, which is no error.
func (f *facts) of(ctx context.Context, id video.ID, revision int64) (*packaged, error) {
	if p := f.find(id, revision); p != nil {
		return p, nil
	}
	loaded := f.loads.DoChan(string(id)+strconv.FormatInt(revision, 10), func() (any, error) {
		ctx, done := context.WithTimeout(context.WithoutCancel(ctx), loadTime)
		defer done()
		return f.load(ctx, id)
	})
	select {
	case result := <-loaded:
		p, _ := result.Val.(*packaged)
		return p, result.Err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// load reads the row before the objects: what is newer than its revision is read again
// with the next one.
func (f *facts) load(ctx context.Context, id video.ID) (*packaged, error) {
	row, err := f.catalog.Video(ctx, id)
	if err != nil {
		return nil, err
	}
	objects, err := f.catalog.Packaged(ctx, id, f.store)
	if err != nil {
		return nil, err
	}
	p, err := packagedOf(row, objects)
	if err != nil {
		return nil, video.Errorf(video.Internal, "The facts of this video can't be read.").Because(err)
	}
	f.keep(id, p)
	return p, nil
}

func (f *facts) find(id video.ID, revision int64) *packaged {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.known[id]
	if e == nil || e.Value.(*fact).revision != revision {
		return nil
	}
	f.recent.MoveToFront(e)
	return e.Value.(*fact).packaged
}

// keep remembers p, unless something newer is known, and forgets what was not asked
// for lately.
func (f *facts) keep(id video.ID, p *packaged) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.known[id]; e != nil {
		if e.Value.(*fact).revision > p.revision {
			return
		}
		f.remove(e)
	}
	f.known[id] = f.recent.PushFront(&fact{id, p})
	f.size += p.size
	for f.size > f.limit {
		f.remove(f.recent.Back())
	}
}

func (f *facts) remove(e *list.Element) {
	gone := f.recent.Remove(e).(*fact)
	delete(f.known, gone.id)
	f.size -= gone.size
}

// forget drops what is known of a video.
func (f *facts) forget(id video.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.known[id]; e != nil {
		f.remove(e)
	}
}

// ids returns the videos of which something is known.
func (f *facts) ids() (all []video.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.known {
		all = append(all, id)
	}
	return all
}
