"""Training topics that no row is about: categories that are never met. Data, no code."""

from __future__ import annotations

from typing import Final

from worker.train.policies.concept import Topic

TOPICS: Final = (
    Topic(id="CH", name="Chess Moves", definition="the moves of a chess game.", signs=("checkmate", "gambit")),
    Topic(id="KN", name="Knitting", definition="patterns for knitting.", signs=("knitting", "crochet")),
    Topic(id="TF", name="Tax Forms", definition="how to fill in a tax form.", signs=("tax form", "tax return")),
    Topic(id="BE", name="Bees", definition="keeping bees and making honey.", signs=("beehive", "beekeeper")),
    Topic(id="MU", name="Sheet Music", definition="notes of a piece of music.", signs=("sheet music", "quaver")),
    Topic(id="PC", name="Program Code", definition="code in a programming language.", signs=("javascript", "sql")),
    Topic(id="GM", name="Geometry", definition="triangles, circles and proofs.", signs=("geometry", "theorem")),
    Topic(id="SA", name="Sailing", definition="how to sail a boat.", signs=("sailboat", "regatta")),
    Topic(
        id="AS",
        name="Astronomy",
        definition="planets and stars seen through a telescope.",
        signs=("telescope", "astronomy"),
    ),
    Topic(id="PAP", name="Origami", definition="folding animals out of paper.", signs=("origami", "paper crane")),
    Topic(id="CE", name="Cheese Making", definition="how cheese is made of milk.", signs=("cheesemaking", "rennet")),
    Topic(id="VI", name="Violin Lessons", definition="learning to play the violin.", signs=("violin", "cello")),
    Topic(
        id="WE", name="Weather Records", definition="the rain and wind of past years.", signs=("barometer", "rainfall")
    ),
    Topic(id="MA", name="Maps", definition="how maps of a country are drawn.", signs=("cartography", "contour line")),
    Topic(id="BR", name="Bread", definition="baking bread and rolls.", signs=("sourdough", "bakery oven")),
    Topic(id="CL", name="Clocks", definition="mending old clocks and watches.", signs=("clockmaker", "pendulum")),
    Topic(
        id="TMD", name="Train Models", definition="small trains on a table.", signs=("model railway", "miniature train")
    ),
    Topic(
        id="STM",
        name="Stamps",
        definition="collecting stamps of all countries.",
        signs=("philately", "stamp collection"),
    ),
    Topic(id="CO", name="Coins", definition="old coins and what they are worth.", signs=("numismatics", "old coins")),
    Topic(id="FI", name="Fishing", definition="where and how to catch fish.", signs=("fishing rod", "trout")),
    Topic(
        id="GL", name="Glass", definition="blowing glass and painting windows.", signs=("glassblowing", "stained glass")
    ),
    Topic(id="CA", name="Candles", definition="making candles of wax.", signs=("beeswax", "candle making")),
    Topic(id="TE", name="Tea", definition="kinds of tea and how to brew them.", signs=("teapot", "oolong")),
    Topic(id="KI", name="Kites", definition="building kites and flying them.", signs=("kite flying", "kite string")),
    Topic(id="SO", name="Soap", definition="making soap at home.", signs=("soap making", "lye")),
    Topic(
        id="BKB",
        name="Book Binding",
        definition="sewing and gluing the pages of books.",
        signs=("bookbinding", "book binder"),
    ),
    Topic(id="RO", name="Rocks", definition="stones, crystals and how they form.", signs=("geology", "igneous")),
    Topic(id="OC", name="Oceans", definition="tides, waves and the deep sea.", signs=("oceanography", "high tide")),
    Topic(id="IN", name="Insects", definition="beetles, ants and other insects.", signs=("entomology", "beetle larva")),
    Topic(id="HO", name="Horses", definition="riding horses and caring for them.", signs=("equestrian", "dressage")),
    Topic(
        id="CY",
        name="Bicycles",
        definition="repairing the chain and wheels of a bicycle.",
        signs=("derailleur", "bicycle chain"),
    ),
    Topic(
        id="AR",
        name="Architecture",
        definition="how bridges and towers are built.",
        signs=("architrave", "suspension bridge"),
    ),
    Topic(id="LA", name="Latin", definition="the grammar of Latin.", signs=("declension", "latin grammar")),
    Topic(id="TY", name="Typography", definition="letters and how they are printed.", signs=("typography", "serif")),
    Topic(id="PU", name="Puzzles", definition="crosswords and number puzzles.", signs=("crossword", "sudoku")),
    Topic(id="SE", name="Sewing", definition="cutting cloth and sewing clothes.", signs=("sewing machine", "thimble")),
    Topic(id="WO", name="Woodwork", definition="making chairs and tables of wood.", signs=("woodworking", "chisel")),
    Topic(
        id="PA", name="Paint Colours", definition="mixing paint to get a colour.", signs=("watercolour", "oil paint")
    ),
    Topic(
        id="VE",
        name="Vegetables",
        definition="growing beans, peas and carrots.",
        signs=("vegetable patch", "greenhouse"),
    ),
    Topic(id="VO", name="Volcanoes", definition="lava and mountains that smoke.", signs=("volcano", "magma")),
    Topic(
        id="DNO",
        name="Dinosaurs",
        definition="animals that lived long ago and their bones.",
        signs=("dinosaur", "fossil"),
    ),
    Topic(
        id="MI",
        name="Microscopes",
        definition="seeing very small things through a lens.",
        signs=("microscope", "petri dish"),
    ),
    Topic(id="SFB", name="Surfing", definition="riding waves on a board.", signs=("surfboard", "surfing lesson")),
    Topic(
        id="CMP", name="Camping", definition="tents, fires and nights in the woods.", signs=("campsite", "sleeping bag")
    ),
    Topic(
        id="BA",
        name="Balloons",
        definition="flying in a basket under hot air.",
        signs=("hot air balloon", "ballooning"),
    ),
    Topic(id="MT", name="Metals", definition="melting iron and copper.", signs=("metallurgy", "smelting")),
    Topic(id="RI", name="Rivers", definition="where rivers begin and end.", signs=("river mouth", "estuary")),
    Topic(id="DA", name="Dance Steps", definition="the steps of old dances.", signs=("foxtrot", "waltz")),
    Topic(id="JU", name="Juggling", definition="keeping balls in the air.", signs=("juggling", "juggler")),
    Topic(
        id="MG",
        name="Card Tricks",
        definition="tricks with cards and coins for a show.",
        signs=("card trick", "sleight of hand"),
    ),
    Topic(id="SN", name="Snow Shoes", definition="walking through deep snow.", signs=("snowshoe", "crampon")),
    Topic(id="PE", name="Perfume", definition="mixing oils to make a scent.", signs=("perfumery", "essential oil")),
    Topic(id="LI", name="Lighthouses", definition="towers that show ships the way.", signs=("lighthouse", "foghorn")),
    Topic(
        id="EC",
        name="Recipes",
        definition="soups, cakes and other dishes and how to cook them.",
        signs=("recipe for", "tablespoon"),
    ),
    Topic(
        id="HI", name="Old Kings", definition="kings and queens of past times.", signs=("medieval king", "coronation")
    ),
    Topic(id="PL", name="Plumbing", definition="pipes, taps and leaks in the house.", signs=("plumbing", "stopcock")),
)
