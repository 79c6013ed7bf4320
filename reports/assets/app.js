// What all pages share: data, filters in the address, cards, charts, tables. The pages in pages/ say
// what is shown. Text only ever enters the page as text, never as markup.
(function () {
  "use strict";
  var R = RETOUR;
  var packed = {}; // "0/marketplace" -> base64
  var unpacked = {}; // the same -> {name: Table}
  var waiting = {};
  var builders = {};
  var plots = [];
  var identifiers = 0;

  // ---- elements -----------------------------------------------------------------------------

  var SHOWN = ["title", "aria-label"];

  function h(tag, attributes) {
    var element = document.createElement(tag);
    Object.keys(attributes || {}).forEach(function (name) {
      var value = attributes[name];
      if (value === null || value === undefined || value === false) return;
      if (name.slice(0, 2) === "on") element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value === true ? "" : SHOWN.indexOf(name) >= 0 ? visible(value) : value);
    });
    for (var i = 2; i < arguments.length; i++) append(element, arguments[i]);
    return element;
  }

  function append(element, child) {
    if (child === null || child === undefined || child === false) return;
    if (Array.isArray(child)) child.forEach(function (one) { append(element, one); });
    else element.appendChild(child.nodeType ? child : document.createTextNode(visible(child)));
  }
  // marks that turn the direction of all text behind them are not shown: names stay what they are in data and CSV
  function visible(text) { return String(text).replace(/[\u202a-\u202e\u2066-\u2069]/g, ""); }

  function identifier(prefix) {
    identifiers += 1;
    return prefix + identifiers;
  }

  // ---- numbers and words ----------------------------------------------------------------------

  var whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  function fixed(digits) {
    return new Intl.NumberFormat("en-US", {
      minimumFractionDigits: digits, maximumFractionDigits: digits,
    });
  }
  var fixeds = [fixed(0), fixed(1), fixed(2), fixed(3)];
  var NONE = "–";

  function known(value) {
    return value !== null && value !== undefined && !(typeof value === "number" && isNaN(value));
  }
  R.int = function (value) { return known(value) ? whole.format(value) : NONE; };
  R.num = function (value, digits) {
    return known(value) ? fixeds[typeof digits === "number" ? digits : 2].format(value) : NONE;
  };
  R.pct = function (value, digits) {
    return known(value) ? fixeds[typeof digits === "number" ? digits : 1].format(100 * value) + " %" : NONE;
  };
  R.money = function (value, currency) {
    if (!known(value)) return NONE;
    var digits = Math.abs(value) < 100 && value !== Math.round(value) ? 2 : 0;
    var text = fixeds[digits].format(value);
    if (text === "-0") text = "0";
    return typeof currency === "string" && currency ? text + "\u00a0" + currency : text;
  };
  R.shortMoney = function (value, currency) {
    if (!known(value) || Math.abs(value) < 1e6) return R.money(value, currency);
    return fixeds[2].format(value / 1e6) + "\u00a0m" + (typeof currency === "string" ? "\u00a0" + currency : "");
  };
  R.text = function (value) { return known(value) ? String(value) : NONE; };
  var MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August",
    "September", "October", "November", "December"];
  R.day = function (iso) {
    if (!iso) return NONE;
    var parts = iso.slice(0, 10).split("-");
    return Number(parts[2]) + " " + MONTHS[Number(parts[1]) - 1] + " " + parts[0];
  };
  R.month = function (iso) {
    return iso ? MONTHS[Number(iso.slice(5, 7)) - 1].slice(0, 3) + " " + iso.slice(0, 4) : NONE;
  };
  R.dayBefore = function (iso, days) {
    var date = new Date(iso + "T00:00:00Z");
    date.setUTCDate(date.getUTCDate() - days);
    return date.toISOString().slice(0, 10);
  };
  R.cut = function (text, length) {
    var characters = Array.from(String(text));
    return characters.length <= length ? String(text)
      : characters.slice(0, length - 1).join("") + "…";
  };
  // a name from data: one that reads from right to left does not turn the words and numbers beside it
  R.name = function (text, length) { return h("bdi", {}, R.cut(visible(text), length || 60)); };
  R.plural = function (count, one, many) {
    return R.int(count) + " " + (count === 1 ? one : many || one + "s");
  };
  // plotly reads <b>, <a> and entities in labels: what comes from data must not be read so
  R.label = function (text, length) {
    return R.cut(visible(text), length || 28).replace(/&/g, "&amp;").replace(/</g, "&lt;")
      .replace(/>/g, "&gt;");
  };

  // ---- data -----------------------------------------------------------------------------------

  function Table(packedTable) {
    this.sql = packedTable.sql;
    this.missing = packedTable.missing;
    this.rows = packedTable.rows;
    this.columns = {};
    this.names = [];
    packedTable.columns.forEach(function (column) {
      this.columns[column.name] = column;
      this.names.push(column.name);
    }, this);
  }
  // whole numbers as stored (money in its smallest unit): sums of these are exact
  Table.prototype.raw = function (name) { return this.columns[name] ? this.columns[name].values : []; };
  Table.prototype.unit = function (name) {
    return this.columns[name] && this.columns[name].scale ? Math.pow(10, this.columns[name].scale) : 1;
  };
  Table.prototype.column = function (name) {
    var column = this.columns[name];
    if (!column) return [];
    if (!column.decoded) {
      if (column.words) {
        column.decoded = column.values.map(function (i) { return i < 0 ? null : column.words[i]; });
      } else if (column.scale) {
        var unit = Math.pow(10, column.scale);
        column.decoded = column.values.map(function (v) { return v === null ? null : v / unit; });
      } else column.decoded = column.values;
    }
    return column.decoded;
  };
  Table.prototype.list = function () {
    if (!this.decodedRows) {
      var names = this.names;
      var columns = names.map(this.column, this);
      this.decodedRows = [];
      for (var i = 0; i < this.rows; i++) {
        var row = {};
        for (var j = 0; j < names.length; j++) row[names[j]] = columns[j][i];
        this.decodedRows.push(row);
      }
    }
    return this.decodedRows;
  };
  Table.prototype.where = function (match) {
    return this.list().filter(function (row) {
      return Object.keys(match).every(function (key) { return row[key] === match[key]; });
    });
  };

  R.receive = function (number, page, text) {
    packed[number + "/" + page] = text;
    if (waiting[number + "/" + page]) waiting[number + "/" + page]();
  };

  function unpack(text) {
    var binary = atob(text);
    var bytes = new Uint8Array(binary.length);
    for (var i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    var stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text().then(function (json) {
      var tables = {};
      var raw = JSON.parse(json);
      Object.keys(raw).forEach(function (name) { tables[name] = new Table(raw[name]); });
      return tables;
    });
  }

  function load(number, page) {
    var key = number + "/" + page;
    if (unpacked[key]) return Promise.resolve(unpacked[key]);
    var arrived = packed[key] ? Promise.resolve() : new Promise(function (resolve, reject) {
      waiting[key] = resolve;
      document.head.appendChild(h("script", {
        src: "data/" + number + "-" + page + ".js",
        onerror: function () { reject(new Error("data/" + number + "-" + page + ".js is missing")); },
      }));
    });
    return arrived.then(function () { return unpack(packed[key]); }).then(function (tables) {
      unpacked[key] = tables;
      delete packed[key];
      return tables;
    });
  }

  // ---- state in the address -------------------------------------------------------------------

  function state() { return new URLSearchParams(location.hash.slice(1)); }
  R.get = function (name) { return state().get(name); };
  R.address = function (changes, page) {
    var next = state();
    Object.keys(changes || {}).forEach(function (name) {
      if (known(changes[name]) && changes[name] !== "") next.set(name, changes[name]);
      else next.delete(name);
    });
    if (R.single) {
      if (page) next.set("p", page);
      return "#" + next.toString();
    }
    return (page ? page + ".html" : "") + "#" + next.toString();
  };
  R.set = function (changes) {
    var next = R.address(changes);
    if (next !== location.hash) history.replaceState(null, "", next);
    show();
  };
  R.link = function (text, changes, page) {
    return h("a", { href: R.address(changes, page) }, text);
  };
  R.window = function () {
    var days = Number(R.get("w"));
    return days === 7 || days === 90 ? days : 30;
  };

  // ---- members of the filters -----------------------------------------------------------------

  var FILTERS = { m: "marketplace", s: "seller", c: "category" };
  var NOT_NAMED = "~none";
  var OTHERS = "~others";

  function member(row) {
    if (row.member_key === -1) return { key: -1, value: NOT_NAMED, label: "(not named)" };
    if (row.member_key === -2) {
      return { key: -2, value: OTHERS, label: "all others (" + row.member_name + ")" };
    }
    var value = row.member_id.charAt(0) === "~" ? "~" + row.member_id : row.member_id;
    var label = row.member_name ? row.member_name + " (" + row.member_id + ")" : row.member_id;
    return { key: row.member_key, value: value, id: row.member_id, name: row.member_name, label: label };
  }
  R.members = function (filter) {
    return R.site.members.where({ dimension: FILTERS[filter] }).map(member);
  };
  R.valueOf = function (id) { return id && id.charAt(0) === "~" ? "~" + id : id; };
  // the chosen member of a filter; null if all are shown, undefined if nobody has that name
  R.chosen = function (filter) {
    var value = R.get(filter);
    if (!value) return null;
    return R.members(filter).filter(function (one) { return one.value === value; })[0];
  };
  R.names = function (filter) {
    return R.members(filter).some(function (one) { return one.key !== -1; });
  };
  R.sellerLink = function (id, name) {
    return h("a", { href: R.address({ s: R.valueOf(id) }, "sellers"), title: name || id,
      class: "name" }, name ? [R.name(name, 48), " (", R.name(id, 24), ")"] : R.name(id));
  };

  // ---- what is missing ------------------------------------------------------------------------

  R.coverage = function (mart) { return R.site.coverage.where({ mart: mart })[0]; };
  // why a mart has nothing to show, in one sentence
  R.why = function (mart) {
    var row = R.coverage(mart);
    if (row && row.reason) return row.reason.replace(/[.]?$/, ".");
    return "There is no row in marts." + mart + ".";
  };
  R.limit = function (name) {
    var row = R.site.limits.where({ policy_name: name })[0];
    return row ? row.value : { report_small_lines: 30, report_immature_percent: 80,
      interval_confidence_percent: 90 }[name];
  };
  R.isSmall = function (exposure) { return !(exposure >= R.limit("report_small_lines")); };

  // ---- definitions on hover -------------------------------------------------------------------

  R.definition = function (metric) {
    return R.definitions.filter(function (one) { return one.metric === metric; })[0];
  };
  function defined(label, metric, extra) {
    var definition = metric && R.definition(metric);
    var words = definition ? definition.definition + "." : "";
    if (extra) words = (words + " " + extra).trim();
    if (!words) return h("span", {}, label);
    var id = identifier("definition");
    return h("span", { class: "defined", onmouseenter: inside, onfocusin: inside },
      h("button", { type: "button", class: "term", "aria-describedby": id }, label),
      h("span", { role: "tooltip", id: id, class: "tip" }, words,
        definition ? h("span", { class: "source" }, "marts." + definition.mart + "."
          + definition.column_name) : null));
  }
  // keeps a definition inside the window
  function inside(event) {
    var tip = event.currentTarget.querySelector(".tip");
    tip.style.left = "0px";
    var over = tip.getBoundingClientRect().right - document.documentElement.clientWidth + 12;
    if (over > 0) tip.style.left = -over + "px";
  }
  R.defined = defined;

  // ---- key figures ----------------------------------------------------------------------------

  // a change in words that can be seen without colours; better: up, down or none
  R.delta = function (change, text, better, versus, isSure) {
    if (!known(change)) return h("p", { class: "delta" }, versus);
    var direction = change > 0 ? 1 : change < 0 ? -1 : 0;
    var sense = !direction || better === "none" || isSure === false ? "neutral"
      : (direction > 0) === (better === "up") ? "good" : "bad";
    return h("p", { class: "delta" },
      h("span", { class: sense }, direction > 0 ? "▲ " : direction < 0 ? "▼ " : "", text,
        sense === "neutral" ? null : h("span", { class: "hidden" },
          sense === "good" ? ", better" : ", worse")),
      " ", versus);
  };
  R.figures = function (parent, figures) {
    parent.appendChild(h("ul", { class: "figures" }, figures.map(function (figure) {
      return h("li", { class: "figure" + (figure.small ? " small" : "") },
        h("p", { class: "name" }, defined(figure.label, figure.metric, figure.help)),
        h("p", { class: "value", "data-key": figure.key, "data-value": figure.raw },
          figure.value.split("\u00a0").map(function (part, i) {
            return i ? [" ", h("span", { class: "unit" }, part)] : part; })),
        figure.delta || null,
        figure.note ? h("p", { class: "note" }, figure.note) : null);
    })));
  };

  // ---- cards ----------------------------------------------------------------------------------

  // options: title, sub, metric, span (1..12), rows (2: beside two others), chart(element), height, summary, table {columns, rows},
  // sql [dataset names], note, body(element), empty (a sentence instead of everything)
  R.card = function (parent, options) {
    var id = identifier("card");
    var card = h("section", { class: "card span" + (options.span || 12) + (options.rows === 2 ? " rows2" : ""), "aria-labelledby": id },
      h("h2", { id: id }, options.metric ? defined(options.title, options.metric) : options.title,
        options.sub ? h("span", { class: "sub" }, options.sub) : null));
    parent.appendChild(card);
    if (options.empty) {
      card.appendChild(h("p", { class: "empty" }, options.empty));
      card.classList.add("is-empty");
    } else {
      if (options.body) options.body(card);
      if (options.chart) {
        var figure = h("div", { class: "chart", role: "img", "aria-label": options.summary,
          style: "min-height:" + (options.height || 280) + "px" });
        card.appendChild(figure);
        options.chart(figure);
      }
      if (options.note) card.appendChild(h("p", { class: "note" }, options.note));
    }
    tools(card, options);
    return card;
  };

  function tools(card, options) {
    var bar = h("div", { class: "tools" });
    function panel(label, fill) {
      var id = identifier("panel");
      var box = h("div", { id: id, class: "panel", hidden: true });
      var button = h("button", { type: "button", "aria-expanded": "false", "aria-controls": id,
        onclick: function () {
          var opens = box.hidden;
          if (opens && !box.firstChild) fill(box);
          box.hidden = !opens;
          button.setAttribute("aria-expanded", String(opens));
        } }, label);
      bar.appendChild(button);
      return box;
    }
    var panels = [];
    var definition = options.metric && R.definition(options.metric);
    if (definition && !options.empty) {
      panels.push(panel("Definition", function (box) {
        append(box, h("p", { class: "note" }, h("b", {}, R.words(definition.metric)), ": ", R.plain(definition.definition), ". ",
          definition.formula ? ["Formula: ", h("code", {}, definition.formula), ". "] : null,
          "From ", h("code", {}, "marts." + definition.mart + "." + definition.column_name), "; all definitions are on ",
          R.hasPage("quality") ? R.link("Data quality", {}, "quality") : "Data quality", "."));
      }));
    }
    if (options.table && options.table.rows.length && !options.empty) {
      panels.push(panel("Table", function (box) {
        box.appendChild(R.table(options.table.columns, options.table.rows,
          { caption: (options.title.textContent || options.title) + ", all columns", limit: 400 }));
      }));
    }
    if (options.sql) {
      panels.push(panel("SQL", function (box) {
        options.sql.forEach(function (name) {
          var table = R.data[name];
          box.appendChild(h("div", { class: "code" },
            copyButton("Copy SQL", function () { return table.sql; }),
            h("pre", { tabindex: "0" }, h("code", {}, table.sql + ";"))));
        });
      }));
    }
    if (options.table && options.table.rows.length && !options.empty) {
      bar.appendChild(copyButton("Copy CSV", function () {
        return R.csv(options.table.columns, options.table.rows);
      }));
    }
    if (!bar.firstChild) return;
    card.appendChild(bar);
    panels.forEach(function (box) { card.appendChild(box); });
  }

  // text that a spreadsheet would run as a formula gets a quote before it; numbers stay numbers
  function csvCell(value) {
    if (!known(value)) return "";
    var text = typeof value === "number" ? String(value) : String(value);
    if (typeof value !== "number" && /^[=+\-@\t\r\0]/.test(text)) text = "'" + text;
    return /[",\n\r]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  }
  R.csv = function (columns, rows) {
    return [columns.map(function (column) { return csvCell(column.label); }).join(",")].concat(
      rows.map(function (row) {
        return columns.map(function (column) { return csvCell(row[column.key]); }).join(",");
      })).join("\r\n") + "\r\n";
  };

  function copyButton(label, text) {
    var button = h("button", { type: "button", onclick: function () {
      copy(text()).then(function (done) {
        button.textContent = done ? "Copied" : "Not copied";
        setTimeout(function () { button.textContent = label; }, 1500);
      });
    } }, label);
    return button;
  }

  function copy(text) {
    R.copied = text;
    if (navigator.clipboard && window.isSecureContext) {
      return navigator.clipboard.writeText(text).then(function () { return true; },
        function () { return copyByHand(text); });
    }
    return Promise.resolve(copyByHand(text));
  }
  function copyByHand(text) {
    var area = h("textarea", { class: "hidden", "aria-hidden": "true", tabindex: "-1" });
    area.value = text;
    document.body.appendChild(area);
    area.select();
    var done = false;
    try { done = document.execCommand("copy"); } catch (error) { done = false; }
    area.remove();
    return done;
  }

  // ---- tables ---------------------------------------------------------------------------------

  // columns: {key, label, format(value, row), number, cell(row) -> element, metric, width}
  R.table = function (columns, rows, options) {
    options = options || {};
    var limit = options.limit || 12;
    var sorted = null;
    var body = h("tbody");
    var more = h("p", { class: "note" });
    function fill() {
      body.textContent = "";
      rows.slice(0, limit).forEach(function (row) {
        body.appendChild(h("tr", { class: options.rowClass && options.rowClass(row) },
          columns.map(function (column, place) {
            var content = column.cell ? column.cell(row)
              : column.format ? column.format(row[column.key], row) : R.text(row[column.key]);
            if (typeof content === "string" && content.length > 300 && !column.long) {
              content = h("span", { title: R.cut(content, 2000) }, R.cut(content, 300));
            }
            return h(place === 0 && options.rowHeader !== false ? "th" : "td",
              { class: column.number ? "number" : column.long ? "long"
                : typeof content === "string" && (content.length <= 12 || /^[^\s]{1,32}$/.test(content)) ? "short" : null,
                scope: place === 0 && options.rowHeader !== false ? "row" : null }, content);
          })));
      });
      more.textContent = "";
      if (rows.length > limit) {
        more.appendChild(document.createTextNode(R.int(limit) + " of " + R.int(rows.length) + " rows. "));
        more.appendChild(h("button", { type: "button", class: "plain", onclick: function () {
          limit = Math.min(rows.length, limit + 500);
          fill();
        } }, "Show more"));
      }
    }
    function sortBy(column) {
      var down = sorted && sorted.column === column ? !sorted.down : Boolean(column.number);
      sorted = { column: column, down: down };
      rows = rows.slice().sort(function (one, other) {
        var a = one[column.key], b = other[column.key];
        if (!known(a) || !known(b)) return known(a) ? -1 : known(b) ? 1 : 0;
        return (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1);
      });
      fill();
    }
    var heads = columns.map(function (column) {
      var head = h("th", { scope: "col", class: column.number ? "number" : column.long ? "long" : null });
      if (options.sortable && column.key && !column.metric) {
        head.appendChild(h("button", { type: "button", class: "sort", onclick: function () {
          sortBy(column);
          heads.forEach(function (one) { one.removeAttribute("aria-sort"); });
          head.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
        }, title: column.help }, column.label));
      } else head.appendChild(column.metric ? defined(column.label, column.metric)
        : document.createTextNode(column.label));
      return head;
    });
    fill();
    return h("div", { class: "table", tabindex: "0", role: "region",
      "aria-label": (options.caption || "Table") + ", table" },
    h("table", {}, h("caption", { class: "hidden" }, options.caption || "Table"),
      h("thead", {}, h("tr", {}, heads)), body), more);
  };

  // a table whose cells are shaded by their value; cells: {value, text, title}, {open} or null
  R.heat = function (caption, corner, rows, columns, sizeLabel, most) {
    most = most || Math.max.apply(null, [0.01].concat(rows.map(function (row) {
      return Math.max.apply(null, row.cells.map(function (cell) { return cell && cell.value || 0; })); })));
    return h("div", { class: "table heat", tabindex: "0", role: "region", "aria-label": caption + ", table" },
      h("table", {}, h("caption", { class: "hidden" }, caption),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, corner), h("th", { scope: "col" }, sizeLabel),
          columns.map(function (column) { return h("th", { scope: "col" }, R.cut(column, 30)); }))),
        h("tbody", {}, rows.map(function (row) {
          return h("tr", { class: row.isSmall ? "small" : null },
            h("th", { scope: "row" }, R.cut(row.name, 40)), h("td", { class: "size" }, R.int(row.size)),
            row.cells.map(function (cell) {
              if (!cell) return h("td", {});
              if (cell.open) return h("td", { class: "open", title: cell.title },
                h("span", { class: "hidden" }, cell.title));
              var share = Math.min(1, cell.value / most);
              return h("td", { class: "shade", title: cell.title,
                style: row.isSmall ? null : "--shade:" + Math.round(70 * share) + "%" }, cell.text);
            }));
        }))));
  };

  // ---- charts ---------------------------------------------------------------------------------

  R.colour = function (name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  };

  // traces is a function of no arguments, so that a change of theme can draw anew
  R.plot = function (element, traces, layout) {
    var plot = { element: element, traces: traces, layout: layout };
    plots.push(plot);
  };

  // on a phone there is room for half of the labels
  R.isNarrow = function () { return document.documentElement.clientWidth < 620; };
  function axis(options) {
    options = Object.assign({}, options);
    if (R.isNarrow() && options.type === "date" && options.nticks) options.nticks = Math.ceil(options.nticks / 2);
    if (options.title) options.title = Object.assign({ font: { size: 12 } }, options.title);
    return Object.assign({ gridcolor: R.colour("grid"), linecolor: R.colour("line"),
      zerolinecolor: R.colour("line"), tickcolor: R.colour("line"), automargin: true,
      fixedrange: true }, options);
  }

  function draw(plot) {
    var layout = typeof plot.layout === "function" ? plot.layout() : plot.layout || {};
    var isPrinting = document.documentElement.classList.contains("printing");
    var size = isPrinting ? { width: plot.element.clientWidth,
      height: 0.85 * (parseInt(plot.element.style.minHeight, 10) || 280) } : { autosize: true };
    Plotly.react(plot.element, plot.traces(), Object.assign({
      margin: { l: 8, r: 12, t: layout.showlegend ? 38 : 10, b: 8 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: R.colour("font"), size: 12.5, color: R.colour("text") },
      hoverlabel: { bgcolor: R.colour("card"), bordercolor: R.colour("line"),
        font: { color: R.colour("text"), family: R.colour("font") }, align: "left" },
      showlegend: false,
      // at the top of the box, not of the drawing: when sizes change plotly would put it into the drawing
      legend: { orientation: "h", x: 0, xanchor: "left", yref: "container", y: 1, yanchor: "top", font: { size: 12 } },
      bargap: 0.28, dragmode: false,
    }, layout, size, { xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis) }),
    { displayModeBar: false, locale: "en-US", doubleClick: false });
    plot.size = [plot.element.clientWidth, plot.element.clientHeight].join();
    sizes.observe(plot.element);
  }

  // windows change, and so does the room that a panel beside a chart leaves
  var sizes = new ResizeObserver(function () {
    if (document.documentElement.classList.contains("printing")) return;
    plots.forEach(function (plot) {
      var size = [plot.element.clientWidth, plot.element.clientHeight].join();
      if (!plot.size || plot.size === size || !plot.element.clientWidth) return;
      plot.size = size;
      Plotly.relayout(plot.element, { autosize: true });
    });
  });

  // half-transparent stripes over what is not over yet
  R.hatch = function (colour) {
    return { shape: "/", size: 5, solidity: 0.25, fgcolor: colour, bgcolor: "rgba(0,0,0,0)" };
  };
  // an interval that is narrower than a line can show is left out
  R.interval = function (rows, value, lo, hi, scale) {
    var widest = Math.max.apply(null, rows.map(function (row) { return row[hi] || 0; }));
    function side(end, sign) {
      return rows.map(function (row) {
        return row[hi] - row[lo] < 0.015 * widest ? null : (scale || 1) * sign * (row[end] - row[value]);
      });
    }
    return { type: "data", symmetric: false, color: R.colour("text"), thickness: 1.2, width: 3,
      array: side(hi, 1), arrayminus: side(lo, -1) };
  };
  // shares are drawn in per cent
  R.percent = function (value) { return known(value) ? 100 * value : null; };
  R.MONTHS = function (count) {
    return { type: "date", tickformat: "%b\n%Y", dtick: count > 12 ? "M2" : "M1", showgrid: false,
      tickangle: 0 };
  };

  function redraw() {
    plots = plots.filter(function (plot) { return document.contains(plot.element); });
    plots.forEach(draw);
  }

  // plotly keeps the width of the screen on paper, and paper is light
  var themeBefore;
  window.addEventListener("beforeprint", function () {
    themeBefore = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    document.documentElement.classList.add("printing");
    redraw();
  });
  window.addEventListener("afterprint", function () {
    document.documentElement.classList.remove("printing");
    if (themeBefore) document.documentElement.dataset.theme = themeBefore;
    else delete document.documentElement.dataset.theme;
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  // ---- frame ----------------------------------------------------------------------------------

  // filters: which of w (window), m, s, c act on the page
  R.page = function (name, filters, builder) {
    builder.filters = filters;
    builders[name] = builder;
  };

  function currentPage() {
    var name = R.single ? R.get("p") || "index" : document.body.dataset.page;
    return builders[name] ? name : "index";
  }

  function header(page) {
    var top = document.getElementById("header");
    top.textContent = "";
    append(top, [
      h("p", { class: "brand" }, h("span", { "aria-hidden": "true" }, "↩ "), h("b", {}, "Returns"), " report"),
      h("nav", { "aria-label": "Pages" }, h("ul", {}, R.pages.map(function (one) {
        return h("li", {}, h("a", { href: R.address({}, one.name),
          "aria-current": one.name === page ? "page" : null }, one.title));
      }))),
      h("button", { type: "button", class: "theme", "aria-label": "Light or dark",
        title: "Light or dark", onclick: toggleTheme }, h("span", { "aria-hidden": "true" }, "◐")),
    ]);
    // on a phone the pages are wider than the screen: the current one is in sight
    var nav = top.querySelector("nav"), current = nav.querySelector("[aria-current]");
    if (current) nav.scrollLeft = current.offsetLeft + current.offsetWidth / 2 - nav.offsetLeft - nav.clientWidth / 2;
  }

  function toggleTheme() {
    var root = document.documentElement;
    var isDark = root.dataset.theme ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    try { localStorage.setItem("retour-theme", root.dataset.theme); } catch (error) { /* for now */ }
    redraw();
  }

  function footer() {
    var tests = R.site.tests.list()[0] || {};
    var bottom = document.getElementById("footer");
    bottom.textContent = "";
    append(bottom, [
      h("p", {}, "Data through ", h("b", {}, R.day(R.source.as_of_date)), " · source ",
        h("b", {}, R.source.source), " · build ", h("code", {}, (R.source.build_id || "unknown").slice(0, 8)),
        " · ", tests.tests ? R.int(tests.passed) + " of " + R.int(tests.tests) + " tests passed"
          : "no tests recorded",
        " · published ", R.text(R.source.published_at).slice(0, 16), " UTC"),
      h("p", {}, R.docs ? [h("a", { href: R.docs }, "Documentation and lineage"), " · "] : null,
        "Every figure comes from a query: press SQL below a chart and run it on the published file. ",
        "Underlined words say on hover what they mean."),
    ]);
  }

  function heading(page, filters) {
    var tests = R.site.tests.list()[0] || {};
    var title = R.pages.filter(function (one) { return one.name === page; })[0].title;
    return h("div", { class: "heading" },
      h("div", {}, h("h1", {}, title),
        h("p", { class: "through" }, "Data through ", h("b", {}, R.day(R.source.as_of_date)),
          h("span", { class: "chosen-filters" }),
          tests.tests ? [" · ", h("a", { href: R.address({}, R.hasPage("quality") ? "quality" : page),
            class: tests.passed === tests.tests ? null : "bad" },
          tests.passed === tests.tests ? "All " + R.int(tests.tests) + " tests passed"
            : R.int(tests.tests - tests.passed) + " of " + R.int(tests.tests) + " tests failed")] : null)),
      filters);
  }
  R.hasPage = function (name) { return R.pages.some(function (one) { return one.name === name; }); };

  function filterBar(names) {
    var bar = h("form", { class: "filters", "aria-label": "Filters",
      onsubmit: function (event) { event.preventDefault(); } });
    if (R.sources.length > 1) {
      bar.appendChild(choice("Source", "source", R.sources.map(function (one) {
        return { value: one.source, label: one.source };
      }), R.source.source));
    }
    if (names.indexOf("w") >= 0) {
      var group = h("fieldset", { class: "windows" }, h("legend", {}, "Window"));
      [7, 30, 90].forEach(function (days) {
        var id = identifier("window");
        append(group, [
          h("input", { type: "radio", name: "w", id: id, value: days, checked: R.window() === days,
            onchange: function () { R.set({ w: days }); } }),
          h("label", { for: id }, days + " d"),
        ]);
      });
      bar.appendChild(group);
    }
    ["m", "s", "c"].forEach(function (filter) {
      if (names.indexOf(filter) < 0 || !R.names(filter)) return;
      var plural = { m: "All marketplaces", s: "All sellers", c: "All categories" }[filter];
      var label = FILTERS[filter].charAt(0).toUpperCase() + FILTERS[filter].slice(1);
      bar.appendChild(choice(label, filter, [{ value: "", label: plural }].concat(
        R.members(filter)), R.get(filter) || ""));
    });
    if (names.length) {
      bar.appendChild(h("button", { type: "button", class: "reset", onclick: function () {
        R.set({ w: null, m: null, s: null, c: null });
        Array.from(bar.querySelectorAll("select")).forEach(function (select) {
          if (select.name !== "source") select.value = "";
        });
        Array.from(bar.querySelectorAll("input")).forEach(function (input) {
          input.checked = input.value === "30";
        });
      } }, "Reset"));
    }
    return bar;
  }

  function choice(label, name, options, value) {
    var id = identifier("filter");
    return h("p", { class: "choice" }, h("label", { for: id }, label),
      h("select", { id: id, name: name, onchange: function (event) {
        var change = {};
        change[name] = event.target.value;
        if (name === "source") Object.assign(change, { m: null, s: null, c: null });
        R.set(change);
      } }, options.map(function (option) {
        return h("option", { value: option.value, selected: option.value === value },
          R.cut(option.label, 48));
      })));
  }

  // filters that name what is not there say so instead of showing everything
  function unknownFilters() {
    return ["m", "s", "c"].filter(function (filter) { return R.chosen(filter) === undefined; });
  }

  var shown; // page and source of what is on the screen
  function show() {
    var page = currentPage();
    var name = R.get("source");
    var number = Math.max(0, R.sources.findIndex(function (one) { return one.source === name; }));
    var main = document.getElementById("main");
    return Promise.all([load(number, "site"), load(number, page)]).then(function (tables) {
      R.source = R.sources[number];
      R.site = tables[0];
      R.data = Object.assign({}, tables[0], tables[1]);
      var builder = builders[page];
      var frame = number + "/" + page;
      if (shown !== frame) {
        document.title = R.pages.filter(function (one) { return one.name === page; })[0].title
          + " · Returns report";
        header(page);
        main.textContent = "";
        append(main, [heading(page, filterBar(builder.filters || [])),
          h("div", { id: "content", class: "grid" })]);
        footer();
        shown = frame;
      }
      Array.from(document.querySelectorAll("nav a")).forEach(function (link, i) {
        link.href = R.address({}, R.pages[i].name);
      });
      syncFilters();
      var content = document.getElementById("content");
      sizes.disconnect();
      plots.forEach(function (plot) { if (content.contains(plot.element)) Plotly.purge(plot.element); });
      plots = [];
      content.textContent = "";
      var wrong = unknownFilters();
      if (wrong.length && (builder.filters || []).some(function (f) { return wrong.indexOf(f) >= 0; })) {
        R.card(content, { title: "Nothing to show", empty: "The address names a "
          + wrong.map(function (filter) { return FILTERS[filter]; }).join(" and a ")
          + " that this source does not list. Press Reset." });
      } else builder(content, R.data);
      // only now: a chart beside a taller card takes the height that is left
      plots.forEach(draw);
      document.body.dataset.ready = String(Number(document.body.dataset.ready || 0) + 1);
      if (!document.body.dataset.milliseconds) document.body.dataset.milliseconds = Math.round(performance.now());
    }).catch(function (error) {
      main.textContent = "";
      append(main, h("section", { class: "card span12" }, h("h1", {}, "This page could not be drawn"),
        h("p", {}, String(error && error.message || error))));
      document.body.dataset.failed = "true";
      throw error;
    });
  }

  function syncFilters() {
    // a window that there is not does not stay in the address
    if (R.get("w") !== null && String(R.window()) !== R.get("w")) history.replaceState(null, "", R.address({ w: null }) || "#");
    var filters = builders[currentPage()].filters || [];
    document.querySelector(".chosen-filters").textContent = filters.length
      ? " · last " + R.window() + " days, " + visible(R.selection()) : "";
    Array.from(document.querySelectorAll(".filters select")).forEach(function (select) {
      var value = R.get(select.name) || (select.name === "source" ? R.source.source : "");
      if (select.value !== value) select.value = value;
    });
    Array.from(document.querySelectorAll(".filters input")).forEach(function (input) {
      input.checked = Number(input.value) === R.window();
    });
  }

  R.plain = function (text) { return known(text) ? String(text).replace(/[.]$/, "") : ""; };
  // late_delivery -> Late delivery
  R.words = function (name) {
    if (!known(name)) return NONE;
    var text = String(name).replace(/_/g, " ");
    return text.charAt(0).toUpperCase() + text.slice(1);
  };
  R.tier = function (tier) {
    var sense = { high: "bad", elevated: "watch", normal: "good" }[tier] || "";
    return h("span", { class: "tag " + sense }, R.text(tier));
  };
  R.h = h;
  R.append = append;
  R.start = function () {
    R.single = document.body.dataset.single === "true";
    window.addEventListener("hashchange", function () { show(); });
    show();
  };
})();
