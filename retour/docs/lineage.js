(function () {
  "use strict";
  var DATA = JSON.parse(document.getElementById("data").textContent);
  var ROWS = "*", MOST = 160; // columns that one graph can show and still be read
  var columns = [], tables = DATA.tables, back = [], on = [];
  tables.forEach(function (table, number) {
    table.at = columns.length;
    table.columns.forEach(function (column) {
      columns.push({ table: number, name: column[0], text: column[1] });
      back.push([]); on.push([]);
    });
  });
  DATA.edges.forEach(function (edge) { back[edge[1]].push(edge); on[edge[0]].push(edge); });

  function byId(id) { return document.getElementById(id); }
  function element(name, attributes, text) {
    var made = document.createElement(name);
    Object.keys(attributes || {}).forEach(function (key) { made.setAttribute(key, attributes[key]); });
    if (text !== undefined) { made.textContent = text; }
    return made;
  }
  function svg(name, attributes, text) {
    var made = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.keys(attributes).forEach(function (key) { made.setAttribute(key, attributes[key]); });
    if (text !== undefined) { made.textContent = text; }
    return made;
  }
  function relation(column) { var t = tables[columns[column].table]; return t.schema + "." + t.name; }
  function shown(column) { return columns[column].name === ROWS ? "(its rows)" : columns[column].name; }
  function full(column) { return relation(column) + (columns[column].name === ROWS ? " (its rows)" : "." + columns[column].name); }
  function cut(text, most) { return text.length > most ? text.slice(0, most - 1) + "…" : text; }
  function quoted(text) { return "'" + text.replace(/'/g, "''") + "'"; }

  // the list: tables, and columns once something is looked for or a table is open
  // what people query comes first, then against the flow to where it begins
  var open = -1, picked = 0, listed = tables.map(function (table, number) { return number; });
  listed.sort(function (a, b) { return tables[b].layer - tables[a].layer || a - b; });
  function list() {
    var words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    var ul = byId("list"), count = 0, layer = null;
    ul.textContent = "";
    function has(text) { return words.every(function (word) { return text.indexOf(word) >= 0; }); }
    listed.forEach(function (number) {
      var table = tables[number], name = table.schema + "." + table.name;
      var own = table.columns.map(function (column, place) { return [column[0], table.at + place]; })
        .filter(function (column) { return column[0] !== ROWS || back[column[1]].length || on[column[1]].length; });
      var hits = words.length ? own.filter(function (column) { return has(name + "." + column[0]) && !has(name); }) : [];
      if (words.length && !has(name) && !hits.length) { return; }
      if (words.length && count > 400) { return; }
      if (table.schema !== layer) { layer = table.schema; ul.appendChild(element("li", { "class": "layer" }, layer)); }
      var item = element("li"), button = element("button", { type: "button" }, table.name);
      button.addEventListener("click", function () { open = open === number ? -1 : number; list(); });
      button.setAttribute("aria-expanded", String(open === number || hits.length > 0));
      item.appendChild(button); ul.appendChild(item); count += 1;
      (open === number ? own : hits).forEach(function (column) {
        var li = element("li", { "class": "column" }), b = element("button", { type: "button" }, column[0] === ROWS ? "(its rows)" : column[0]);
        if (column[1] === picked) { b.setAttribute("aria-current", "true"); }
        b.addEventListener("click", function () { pick(column[1]); });
        li.appendChild(b); ul.appendChild(li); count += 1;
      });
    });
    byId("found").textContent = words.length ? (count ? "" : "Nothing has such a name.") : "Marts are what people query; raw is where everything begins.";
  }

  // columns around one, by number of steps: negative to the left
  function around(start, left, right) {
    var level = {}, edges = [], full = false;
    level[start] = 0;
    function walk(next, end, steps, sign) {
      var ahead = [start];
      for (var step = 1; step <= steps && ahead.length && !full; step += 1) {
        var found = [];
        ahead.forEach(function (column) {
          next[column].forEach(function (edge) {
            var other = edge[end];
            if (level[other] === undefined) {
              if (Object.keys(level).length >= MOST) { full = true; return; }
              level[other] = sign * step; found.push(other);
            }
          });
        });
        ahead = found;
      }
    }
    walk(back, 0, left, -1); walk(on, 1, right, 1);
    DATA.edges.forEach(function (edge) {
      if (level[edge[0]] !== undefined && level[edge[1]] !== undefined && level[edge[0]] < level[edge[1]]) { edges.push(edge); }
    });
    return { level: level, edges: edges, full: full };
  }

  var ROW = 19, HEAD = 36, WIDE = 250, GAP = 90;
  function draw(start, part) {
    var host = byId("graph"), boxes = {}, levels = {};
    Object.keys(part.level).forEach(function (key) {
      var column = Number(key), level = part.level[key], name = level + "|" + columns[column].table;
      if (!boxes[name]) { boxes[name] = { level: level, table: columns[column].table, columns: [] }; (levels[level] = levels[level] || []).push(boxes[name]); }
      boxes[name].columns.push(column);
    });
    var order = Object.keys(levels).map(Number).sort(function (a, b) { return a - b; });
    var place = {}, height = 0;
    order.forEach(function (level, number) {
      var y = 14;
      levels[level].sort(function (a, b) { return a.table - b.table; }).forEach(function (box) {
        box.columns.sort(function (a, b) { return a - b; });
        box.x = 14 + number * (WIDE + GAP); box.y = y; box.height = HEAD + box.columns.length * ROW + 6;
        box.columns.forEach(function (column, row) { place[column] = { x: box.x, y: y + HEAD + row * ROW + ROW / 2 }; });
        y += box.height + 14;
      });
      levels[level].bottom = y; height = Math.max(height, y);
    });
    // shorter levels stand in the middle of the tallest
    order.forEach(function (level) {
      var shift = (height - levels[level].bottom) / 2;
      levels[level].forEach(function (box) { box.y += shift; box.columns.forEach(function (column) { place[column].y += shift; }); });
    });
    var width = 28 + order.length * WIDE + (order.length - 1) * GAP;
    var image = svg("svg", { width: width, height: height, viewBox: "0 0 " + width + " " + height });
    part.edges.forEach(function (edge) {
      var a = place[edge[0]], b = place[edge[1]], x1 = a.x + WIDE, bend = Math.max(40, (b.x - x1) / 2);
      var path = svg("path", { "class": DATA.steps[edge[2]], d: "M" + x1 + "," + a.y + " C" + (x1 + bend) + "," + a.y + " " + (b.x - bend) + "," + b.y + " " + b.x + "," + b.y });
      path.appendChild(svg("title", {}, full(edge[1]) + " is " + DATA.steps[edge[2]] + " from " + full(edge[0])));
      image.appendChild(path);
    });
    Object.keys(boxes).forEach(function (name) {
      var box = boxes[name], table = tables[box.table];
      image.appendChild(svg("rect", { "class": "box", x: box.x, y: box.y, width: WIDE, height: box.height, rx: 6 }));
      image.appendChild(svg("text", { "class": "schema", x: box.x + 10, y: box.y + 14 }, table.schema));
      image.appendChild(svg("text", { "class": "title", x: box.x + 10, y: box.y + 29 }, cut(table.name, 32)));
      box.columns.forEach(function (column) {
        var at = place[column], cell = svg("rect", { "class": column === start ? "chosen" : "cell", x: box.x + 3, y: at.y - ROW / 2, width: WIDE - 6, height: ROW, rx: 4 });
        cell.appendChild(svg("title", {}, full(column) + (columns[column].text ? ": " + columns[column].text : "")));
        cell.addEventListener("click", function () { pick(column); });
        image.appendChild(cell);
        var label = svg("text", { x: box.x + 12, y: at.y + 4, "pointer-events": "none" }, cut(shown(column), 31));
        image.appendChild(label);
      });
    });
    host.textContent = "";
    host.appendChild(image);
    // as large as fits, as long as it can be read
    var scale = Math.min(1, Math.max(0.7, (host.clientWidth - 2) / width)), me = place[start];
    image.setAttribute("width", width * scale);
    image.setAttribute("height", height * scale);
    host.scrollLeft = Math.max(0, me.x * scale - (host.clientWidth - WIDE * scale) / 2);
    host.scrollTop = Math.max(0, me.y * scale - host.clientHeight / 2);
  }

  function show() {
    var table = tables[columns[picked].table], about = byId("about");
    about.textContent = "";
    about.appendChild(element("h2", {}, full(picked)));
    if (columns[picked].text) { about.appendChild(element("p", {}, columns[picked].text)); }
    var line = element("p", {}, table.description + " ");
    var link = element("a", { href: "index.html#!/" + table.kind + "/" + table.id }, "Whole table");
    line.appendChild(link);
    about.appendChild(line);
    if (table.readers.length) { about.appendChild(element("p", {}, "The table is read by: " + table.readers.join(", ") + ".")); }
    var part = around(picked, Number(byId("back").value), Number(byId("on").value));
    var notes = [];
    if (!back[picked].length && table.schema !== "raw" && table.schema !== "policy") { notes.push("Made from no column: a constant of the model."); }
    if (table.schema === "raw") { notes.push("As it stood in the file."); }
    if (table.schema === "policy") { notes.push("A rule of the project: a row of dbt_project/seeds/policy."); }
    if (!on[picked].length) { notes.push("Nothing is made from it."); }
    if (part.full) { notes.push("Only the nearest " + MOST + " columns are drawn."); }
    byId("note").textContent = notes.join(" ");
    draw(picked, part);
    var rows = byId("rows");
    rows.textContent = "";
    part.edges.slice().sort(function (a, b) { return part.level[b[1]] - part.level[a[1]] || a[1] - b[1] || a[0] - b[0]; }).forEach(function (edge) {
      var row = element("tr");
      [full(edge[1]), DATA.steps[edge[2]], full(edge[0])].forEach(function (text) { row.appendChild(element("td", {}, text)); });
      rows.appendChild(row);
    });
    byId("sql").textContent = "select *\nfrom marts.column_lineage\nwhere target_schema = " + quoted(table.schema) + "\n    and target_table = " + quoted(table.name) + "\n    and target_column = " + quoted(columns[picked].name) + ";";
  }

  function pick(column) {
    picked = column; open = columns[column].table;
    location.hash = encodeURIComponent(full(column).replace(" (its rows)", ".*"));
    document.title = full(column) + " · Column lineage";
    list(); show();
  }

  DATA.steps.forEach(function (step) {
    var item = element("span");
    item.appendChild(element("i", { "class": step }));
    item.appendChild(document.createTextNode(step));
    byId("legend").appendChild(item);
  });
  ["back", "on"].forEach(function (id) { byId(id).addEventListener("change", show); });
  byId("search").addEventListener("input", list);
  function from_address() {
    var wanted = decodeURIComponent(location.hash.slice(1));
    for (var column = 0; column < columns.length; column += 1) {
      if (relation(column) + "." + columns[column].name === wanted) { return column; }
    }
    return -1;
  }
  window.addEventListener("hashchange", function () { var column = from_address(); if (column >= 0 && column !== picked) { pick(column); } });
  var first = from_address();
  if (first < 0) {
    location.hash = "marts.kpis_monthly.net_revenue";
    first = Math.max(0, from_address());
  }
  pick(first);
  var current = document.querySelector("nav [aria-current]");
  if (current) { byId("list").parentNode.scrollTop = current.offsetTop - 200; }
}());
