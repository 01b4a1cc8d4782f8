from rest_framework.pagination import CursorPagination


class NewestFirst(CursorPagination):
    """Cursor paging from the newest row on: no COUNT(*), and no row twice while rows come in."""

    ordering = "-id"
    page_size_query_param = "limit"
    max_page_size = 500
