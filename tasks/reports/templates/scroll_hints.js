"use strict";
{
  // Boxes that are wider than the screen say so, and can be scrolled with the keyboard.
  const markScrollable = () => {
    for (const box of document.querySelectorAll(".scroll")) {
      const scrolls = box.scrollWidth > box.clientWidth + 1;
      box.previousElementSibling.hidden = !scrolls;
      if (scrolls) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  new ResizeObserver(markScrollable).observe(document.body);
  addEventListener("toggle", markScrollable, true);
}
